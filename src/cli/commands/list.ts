import { RelayLock } from '../../config/lock.js';
import { silent } from '../../lib/logger.js';
import type { Survey, SurveyedRelay } from '../../reconcile/candidates/survey.js';
import { askAgent } from '../ask-agent.js';
import { needAllowed, notAllowedYet } from '../allow/gate.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { load, loadOptions, type Loaded } from '../load.js';
import { loadLockState, type LockState } from '../lock.js';
import { columns } from '../columns.js';
import { printEvent } from '../print.js';
import { proxyFor } from '../proxy.js';
import { errorLines } from '../reporters/describe.js';
import { createStyle, printable, type Style } from '../style.js';

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
    (await askAgent(context, desired)) ?? (await surveyWithoutAgent(context, loaded, lock));
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
  ))
    context.stdout.line(line);
  for (const line of (await notAllowedYet(context, loaded)).lines) context.stderr.note(line);
  if (registry?.error) context.stderr.line(`registry: ${errorLines(registry.error).join('\n')}`);
  return 0;
}

async function surveyWithoutAgent(
  context: Context,
  loaded: Loaded,
  lock: LockState | undefined,
): Promise<Survey> {
  await needAllowed(context, loaded, 'Check the file, then run `portal allow`.');
  const { surveyAlone } = await import('../../reconcile/candidates/survey.js');
  return surveyAlone(loaded.desired, {
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

function describeRelays(rows: readonly Row[], style: Style, hasPool: boolean): string[] {
  if (rows.length === 0) return ['no relays'];
  const [header, ...lines] = columns([
    ['RELAY', 'SOURCE', 'HEALTH', 'ROUND TRIP', 'IN USE', 'LOCKED', 'KEY', 'OFFERS'],
    ...rows.map(
      ({ url, source, health, rttMs, inUse, locked, address, capabilities = [], carriers = [] }) => [
        printable(url),
        source,
        health,
        rttMs === undefined ? '' : `${Math.round(rttMs)} ms`,
        yesNo(inUse),
        yesNo(locked),
        printable(address ?? ''),
        printable([...capabilities, ...carriers].join(' ')),
      ],
    ),
  ]);
  return [
    style.dim(header!),
    ...lines.flatMap((line, index) => {
      const { health, source, error } = rows[index]!;
      return [
        paint(style, health, line),
        ...(source === 'chain' && hasPool ? ['  part of a chain; the pool does not use it'] : []),
        ...(error ? errorLines(error).map((text) => `  ${text}`) : []),
      ];
    }),
  ];
}

function paint(style: Style, health: Row['health'], line: string): string {
  if (health === 'healthy') return style.green(line);
  return health === 'unhealthy' ? style.red(line) : line;
}
