/** A terminal's screen as an SVG: text that can be selected, on a dark window that suits light and dark pages. */

const FONT = { size: 14, width: 8.43, line: 20 };
const MARGIN = 18;
const BAR = 30;
const COLOURS = { 31: '#ff7b72', 32: '#56d364', 33: '#e3b341', 34: '#79c0ff', 35: '#d2a8ff', 36: '#76e3ea' };
const PLAIN = '#e6edf3';
const ESCAPE = String.fromCodePoint(0x1b);
const CODES = new RegExp(`(${ESCAPE}\\[[\\d;]*m)`);

/** `screen` is text with SGR codes, as `tmux capture-pane -e` prints it. */
export function drawScreen(screen, columns, title) {
  const lines = screen.trimEnd().split('\n');
  const width = Math.ceil(2 * MARGIN + columns * FONT.width);
  const height = BAR + lines.length * FONT.line + MARGIN;
  let style = {};
  const text = lines.map((line, row) => {
    const drawn = drawLine(line, BAR + (row + 1) * FONT.line - 5, style);
    style = drawn.style;
    return drawn.svg;
  });
  const dots = ['#ff5f57', '#febc2e', '#28c840'].map(
    (colour, index) => `<circle cx="${MARGIN + 4 + index * 18}" cy="17" r="5.5" fill="${colour}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(title)}</title>
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="9" fill="#0d1117" stroke="#30363d"/>
${dots.join('')}
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT.size}" fill="${PLAIN}">
${text.filter(Boolean).join('\n')}
</g>
</svg>
`;
}

/** The spans of a line, each with its place and length, so that columns align in any font. */
function drawLine(line, y, style) {
  let column = 0;
  const spans = [];
  for (const part of line.split(CODES)) {
    if (part.startsWith(ESCAPE)) style = part.slice(2, -1).split(';').reduce(restyle, style);
    else {
      // White space collapses in SVG, so text after a gap has its own position.
      for (const words of part.split(/(\s{2,})/)) {
        if (words.trim()) spans.push(drawSpan(words, MARGIN + column * FONT.width, y, style));
        column += [...words].length;
      }
    }
  }
  return { svg: spans.join(''), style };
}

function restyle(style, code) {
  const number = Number(code);
  if (number === 0) return {};
  if (number === 1) return { ...style, bold: true };
  if (number === 2) return { ...style, dim: true };
  if (number === 22) return { ...style, bold: false, dim: false };
  if (number === 39) return { ...style, colour: undefined };
  return COLOURS[number] ? { ...style, colour: COLOURS[number] } : style;
}

function drawSpan(text, x, y, { bold, dim, colour }) {
  const trimmed = text.trim();
  const start = x + text.indexOf(trimmed) * FONT.width;
  const attributes = [
    `x="${start.toFixed(1)}" y="${y}" textLength="${([...trimmed].length * FONT.width).toFixed(1)}"`,
    ...(colour ? [`fill="${colour}"`] : []),
    ...(bold ? ['font-weight="600"'] : []),
    ...(dim ? ['opacity="0.6"'] : []),
  ];
  return `<text ${attributes.join(' ')}>${escaped(trimmed)}</text>`;
}

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
