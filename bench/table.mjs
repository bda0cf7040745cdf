import { readFileSync } from 'node:fs';
import { figure } from './lib/figures.mjs';

/** `node bench/table.mjs RUN.json`: prints the figures of a run as the table in docs/explanation/performance.md, ratios first. */

const { machine, results, settings, time } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const by = (who) => (result) => (result[who] === undefined ? '' : figure(result[who]));
const ratio = (result) => (result.ratio?.nginx === undefined ? '' : figure(result.ratio.nginx));
const columns = [
  ['', ({ name }) => `\`${name}\``],
  ['Portal : nginx', ratio],
  ['Portal', by('portal')],
  ...['frp', 'frp plain', 'rathole', 'nginx', 'floor', 'direct']
    .filter((who) => results.some((result) => result[who] !== undefined))
    .map((who) => [who, by(who)]),
  ['unit', ({ unit, max }) => (max ? `${unit} (worst ${max.portal})` : unit)],
];
/** Figures that only explain others are in the JSON only. */
const isShown = ({ name }) =>
  !/\.cpu\.(service|client)$|^(requests|http2?)\.p50$|^requests\.perAgentCore$|\.noLoss\.lost$|^start\.(help|validate)$/.test(
    name,
  );
const versions = ['nginx', 'frp', 'rathole']
  .filter((name) => machine[name])
  .map((name) => `${name} ${machine[name]}`)
  .join(', ');
const row = (cells) => `| ${cells.join(' | ')} |`;
process.stdout.write(
  `${[
    `${time.slice(0, 10)}, ${machine.cores} cores of ${machine.cpu}, Node ${machine.node}, ${versions}, ${settings.rounds} rounds of ${settings.seconds} s.`,
    '',
    row(columns.map(([head]) => head)),
    row(columns.map((_, index) => (index === 0 || index === columns.length - 1 ? '---' : '--:'))),
    ...results.filter(isShown).map((result) => row(columns.map(([, cell]) => cell(result)))),
  ].join('\n')}\n`,
);
