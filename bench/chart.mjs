import { readFileSync } from 'node:fs';
import { figure } from './lib/figures.mjs';

/** `node bench/chart.mjs RUN.json > CHART.svg`: draws the main figures of a run, each contender beside the others. */

/** Each panel: the results to add up, their title, whether more is better, and a divisor. */
const PANELS = [
  { of: ['download'], title: 'Download over TLS, MB/s', more: true },
  { of: ['requests'], title: 'Requests/s, 32 connections', more: true },
  { of: ['requests.p99'], title: 'Slowest 1 % of these requests, ms' },
  { of: ['paced.p50'], title: 'One connection, 50 requests/s: median, ms' },
  { of: ['connections'], title: 'New TLS visitors/s', more: true },
  { of: ['http'], title: 'Mode http, requests/s', more: true },
  { of: ['udp'], title: 'UDP, datagrams/s', more: true },
  { of: ['udp.p50'], title: 'UDP round trip, median, ms' },
  { of: ['tcp.download.cpu.relay'], title: 'Mode tcp, CPU of the relay, s/GB' },
  { of: ['exec.1'], title: 'Start of the agent to first response, ms' },
  { of: ['memory.idle.relay', 'memory.idle.agent'], title: 'Idle memory, relay and agent, MB' },
  { of: ['memory.relay', 'memory.agent'], title: 'Memory of an idle visitor, kB', per: 1000 },
];
const ORDER = ['portal', 'frp', 'frp plain', 'rathole', 'nginx', 'floor'];
const LABELS = { portal: 'Portal', floor: 'bare Node' };

const [COLUMNS, PANEL_WIDTH, LABEL_WIDTH, VALUE_WIDTH, ROW, TOP, GAP] = [2, 440, 74, 64, 18, 30, 18];
const BAR_WIDTH = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH;

const { results } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const panels = PANELS.map((panel) => ({ ...panel, bars: barsOf(panel) })).filter(
  ({ bars }) => bars.length > 1,
);
const rows = Array.from({ length: Math.ceil(panels.length / COLUMNS) }, (_, row) =>
  panels.slice(row * COLUMNS, (row + 1) * COLUMNS),
);
const heights = rows.map((row) => TOP + GAP + ROW * Math.max(...row.map(({ bars }) => bars.length)));
const width = COLUMNS * PANEL_WIDTH + (COLUMNS + 1) * GAP;
const height = GAP + heights.reduce((sum, each) => sum + each, 0);

process.stdout
  .write(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Portal beside other tunnels, from one run of npm run bench">
<style>
  text { font: 12px system-ui, sans-serif; fill: #57606a; }
  .title { font-weight: 600; fill: #1f2328; }
  .own text { font-weight: 600; fill: #1f2328; }
  rect { fill: #afb8c1; }
  .own rect { fill: #0969da; }
  .page { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1; }
    .title, .own text { fill: #f0f6fc; }
    rect { fill: #3d444d; }
    .own rect { fill: #4493f8; }
    .page { fill: #0d1117; }
  }
</style>
<rect class="page" width="${width}" height="${height}" rx="6"/>
${rows.map((row, index) => row.map((panel, column) => drawn(panel, column, topOf(index))).join('\n')).join('\n')}
</svg>
`);

function topOf(row) {
  return GAP + heights.slice(0, row).reduce((sum, each) => sum + each, 0);
}

function barsOf({ of, per = 1 }) {
  const parts = of.map((name) => results.find((result) => result.name === name));
  return ORDER.flatMap((name) => {
    const values = parts.map((part) => part?.[name]);
    if (values.includes(undefined)) return [];
    return [{ name, value: values.reduce((sum, value) => sum + value, 0) / per }];
  });
}

function drawn({ title, more, bars }, column, top) {
  const left = GAP + column * (PANEL_WIDTH + GAP);
  const most = Math.max(...bars.map(({ value }) => value));
  const lines = bars.map(({ name, value }, index) => {
    const y = TOP + index * ROW;
    const length = Math.max(1, (BAR_WIDTH * value) / most).toFixed(1);
    return `<g${name === 'portal' ? ' class="own"' : ''}><text x="0" y="${y + 11}">${LABELS[name] ?? name}</text><rect x="${LABEL_WIDTH}" y="${y}" width="${length}" height="13" rx="2"/><text x="${(LABEL_WIDTH + Number(length) + 6).toFixed(1)}" y="${y + 11}">${figure(value)}</text></g>`;
  });
  const better = more ? 'more is better' : 'less is better';
  return `<g transform="translate(${left} ${top})"><text class="title" x="0" y="14">${title}</text><text x="${PANEL_WIDTH}" y="14" text-anchor="end">${better}</text>
${lines.join('\n')}</g>`;
}
