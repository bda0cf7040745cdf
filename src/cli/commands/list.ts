import { RelayLock } from '../../config/files/lock.js';
import { silent } from '../../lib/logger.js';
import type { Survey, SurveyedRelay } from '../../reconcile/candidates/survey.js';
import { askAgent } from '../running/ask-agent.js';
import { needAllowed, notAllowedYet } from '../allow/gate.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { load, loadOptions, type Loaded } from '../../library/load.js';
import { loadLockState, type LockState } from '../lock.js';
import { columns, fitColumns } from '../text/columns.js';
import { printEvent } from '../print.js';
import { proxyFor } from '../proxy.js';
import { servedText } from '../relay/report.js';
import { errorLines } from '../reporters/describe.js';
import { createStyle, printable, type Style } from '../text/style.js';
import { wrapWords } from '../text/wrap.js';

interface Options {
  readonly file?: string;
}

/** A relay, and whether portal.lock has it. */
type Row = SurveyedRelay & { readonly locked?: boolean };

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const loaded = await load(loadOptions(context, options.file));
  const { desired } = loaded;
  const lock = await loadLockState(desired);
  const { relays, registry } =
    (await askAgent(context, desired, (agent) => agent.relays())) ??
    (await surveyAllowed(context, loaded, lock));
  const rows = relays.map((relay) => withLock(relay, lock));
  if (context.json) {
    for (const row of rows) printEvent(context, 'relay', row);
    if (registry) printEvent(context, 'registry', registry);
    return 0;
  }
  for (const line of describeRelays(
    rows,
    createStyle(context.stdout.color),
    desired.candidates !== undefined,
    context.stdout.columns,
  ))
    context.stdout.line(line);
  for (const line of (await notAllowedYet(context, loaded)).lines) context.stderr.note(line);
  if (registry?.error) context.stderr.line(`registry: ${errorLines(registry.error).join('\n')}`);
  return 0;
}

async function surveyAllowed(context: Context, loaded: Loaded, lock: LockState | undefined): Promise<Survey> {
  await needAllowed(context, loaded, 'Check the file, then run `portal allow`.');
  const { surveyWithoutAgent } = await import('../../reconcile/candidates/survey.js');
  return surveyWithoutAgent(loaded.desired, {
    proxyFor,
    ...(lock && { trust: new RelayLock({ file: lock.file }) }),
    registryDir: context.paths.registryDir,
    log: silent,
  });
}

function withLock(relay: SurveyedRelay, lock: LockState | undefined): Row {
  if (!lock || relay.source === 'embedded') return relay;
  return { ...relay, locked: lock.entries.has(relay.url) };
}

const yesNo = (is: boolean | undefined): string => (is === undefined ? '' : is ? 'yes' : 'no');

/** Columns that a narrow terminal does not show, in the order of removal. */
const OPTIONAL = ['SOURCE', 'LOCKED', 'IN USE', 'ROUND TRIP'];

/** Formats the relays as a table. Where `width` is small, keys and what relays serve are below. */
export function describeRelays(
  rows: readonly Row[],
  style: Style,
  hasPool: boolean,
  width: number,
): string[] {
  if (rows.length === 0) return ['no relays'];
  const [table, isWide] = tableOf(rows, width);
  const [header, ...lines] = table;
  return [
    style.dim(header!),
    ...lines.flatMap((line, index) => {
      const row = rows[index]!;
      return [
        paint(style, row.health, line),
        ...(isWide ? [] : detailsOf(row).flatMap((text) => wrapWords(text, width).split('\n'))),
        ...(row.source === 'chain' && hasPool ? ['  part of a chain; the pool does not use it'] : []),
        ...(row.error ? errorLines(row.error).map((text) => `  ${text}`) : []),
      ];
    }),
  ];
}

/** The key and what a relay serves are too wide for most terminals, and have lines of their own there. */
function tableOf(rows: readonly Row[], width: number): [table: string[], isWide: boolean] {
  const header = ['RELAY', 'SOURCE', 'HEALTH', 'ROUND TRIP', 'IN USE', 'LOCKED'];
  const cells = rows.map(({ url, source, health, rttMs, inUse, locked }) => [
    printable(url),
    source,
    health,
    rttMs === undefined ? '' : `${Math.round(rttMs)} ms`,
    yesNo(inUse),
    yesNo(locked),
  ]);
  const wide = columns([
    [...header, 'KEY', 'SERVES'],
    ...cells.map((each, index) => [...each, printable(rows[index]!.address ?? ''), offersOf(rows[index]!)]),
  ]);
  if (wide.every((line) => line.length <= width)) return [wide, true];
  return [fitColumns([header, ...cells], { optional: OPTIONAL, width }), false];
}

const detailsOf = (row: Row): string[] => [
  ...(row.address === undefined ? [] : [`  key ${printable(row.address)}`]),
  ...(offersOf(row) === '' ? [] : [`  serves ${offersOf(row)}`]),
];

/** In words of the docs. `--json` has the protocol's, with the carriers. */
const offersOf = ({ capabilities = [] }: Row): string => servedText(capabilities).join(', ');

function paint(style: Style, health: Row['health'], line: string): string {
  if (health === 'healthy') return style.green(line);
  return health === 'unhealthy' ? style.red(line) : line;
}
