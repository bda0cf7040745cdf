import { describe, expect, it } from 'vitest';
import { codeFrame, formatProblem } from './frame.js';
import { Source, type Place } from './source.js';

function place(text: string, part: string): Place {
  const start = text.indexOf(part);
  return { source: new Source('x', text), start, end: start + part.length };
}

describe('codeFrame', () => {
  it('shows the lines around an error, with a caret under its position', () => {
    const text = 'one: 1\ntwo: 2\nthree:\n  taget: 3000\n  alpn: [h2]\nsix: 6\n';
    expect(codeFrame(place(text, 'taget'), [])).toBe(
      ['  2 | two: 2', '  3 | three:', '> 4 |   taget: 3000', '    |   ^^^^^', '  5 |   alpn: [h2]'].join(
        '\n',
      ),
    );
  });

  it('places the caret correctly with tabs and Windows line ends', () => {
    const text = 'a:\t\tbad\r\nb: 1\r\n';
    expect(codeFrame(place(text, 'bad'), [])).toBe('> 1 | a:\t\tbad\n    |   \t\t^^^\n  2 | b: 1');
  });

  it('masks secrets, and places the caret correctly after them', () => {
    const text = '{ pin: a-long-secret, bad: 1 }';
    const at = place(text, 'bad');
    const secret = { ...place(text, 'a-long-secret'), source: at.source };
    expect(codeFrame(at, [secret])).toBe('> 1 | { pin: ****, bad: 1 }\n    |              ^^^');
  });

  it('cuts long lines around the position', () => {
    const text = `${'x'.repeat(500)}bad${'y'.repeat(500)}`;
    const [line = '', caret = ''] = codeFrame(place(text, 'bad'), []).split('\n');
    expect(line.length).toBeLessThan(140);
    expect(line.slice(caret.indexOf('^')).startsWith('bad')).toBe(true);
  });

  it('masks a long secret that ends at the position', () => {
    const text = `{ pin: ${'s'.repeat(5_000)}, bad: 1, other: ${'t'.repeat(5_000)} }`;
    const at = place(text, 'bad');
    const hidden = ['s', 't'].map((part) => ({ ...place(text, part.repeat(5_000)), source: at.source }));
    const [line = '', caret = ''] = codeFrame(at, hidden).split('\n');
    expect(line).toBe('> 1 | …****, bad: 1, other: ****');
    expect(line.slice(caret.indexOf('^')).startsWith('bad')).toBe(true);
  });

  it('prints no escape sequence of the file', () => {
    const text = 'bad: \u001b[31mred\u202e';
    expect(codeFrame(place(text, 'bad'), [])).toBe('> 1 | bad: \ufffd[31mred\ufffd\n    | ^^^');
  });
});

describe('formatProblem', () => {
  const problem = {
    file: 'portal.yaml',
    line: 4,
    column: 3,
    path: '/x',
    code: 'config_invalid',
    message: 'unknown key "x"',
    hint: 'Did you mean `y`?',
    frame: '> 4 |   x: 1\n    |   ^',
  } as const;

  it('says that a warning is one', () => {
    const { hint: _hint, frame: _frame, ...bare } = problem;
    expect(formatProblem(bare, { color: false, severity: 'warning' })).toBe(
      'portal.yaml:4:3: warning: unknown key "x"',
    );
  });

  it('reads like a compiler', () => {
    expect(formatProblem(problem, { color: false })).toBe(
      'portal.yaml:4:3: unknown key "x"\n  > 4 |   x: 1\n      |   ^\n  hint: Did you mean `y`?',
    );
  });

  it('adds only colours to the text', () => {
    const coloured = formatProblem(problem, { color: true });
    expect(coloured).not.toBe(formatProblem(problem, { color: false }));
    // oxlint-disable-next-line no-control-regex
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(formatProblem(problem, { color: false }));
  });
});
