import type { ErrorSummary, HopStatus, LeaseStatus, RelayStatus } from '../../agent/status.js';
import { whileDown } from '../running/while-down.js';
import { PortalError } from '../../lib/errors.js';
import { shellQuote } from '../../lib/shell-quote.js';
import type { AgentStatus } from '../../reconcile/events.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { findAgent, severalAgents } from '../running/find-agent.js';
import { hintsFor } from '../running/for-file.js';
import { filled, fitColumns } from '../text/columns.js';
import { printEvent } from '../print.js';
import {
  describeGates,
  describeReplicas,
  describeRetiring,
  describeUnproven,
  describeUnserved,
  errorLines,
  nextTry,
  publicAddress,
  relayName,
  whyOtherPort,
  UNVERIFIED,
} from '../reporters/describe.js';
import { describeHeldNow, describeHold } from '../reporters/describe-held.js';
import { describeCommands } from '../running/status-commands.js';
import { checkServices } from '../../library/unknown-service.js';
import { isPath } from '../../library/path-word.js';
import { formatAge, formatAgo, formatBytes, formatWait, timeText } from '../text/amounts.js';
import { isStarting, servedState } from '../../agent/served-state.js';
import { targetProblems, withoutRelayError } from '../running/state.js';
import { createStyle, printable, type Paint, type Style } from '../text/style.js';

interface Options {
  readonly file?: string;
  readonly pid?: number;
  readonly waitReady?: true;
  /** With waitReady: waits for the targets as well. */
  readonly targets?: true;
  /** Timeout of waitReady, milliseconds. */
  readonly timeout: number;
}

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  const path = args.find(isPath);
  if (path !== undefined)
    throw new PortalError('usage', `${JSON.stringify(path)} is a file, not a service`, {
      hint: `Use: portal status -f ${shellQuote(path)}.`,
    });
  if (options.waitReady && args.length > 0)
    throw new PortalError('usage', '--wait-ready waits for every service', {
      hint: 'Use it without the names of services.',
    });
  if (options.targets && !options.waitReady) throw new PortalError('usage', '--targets needs --wait-ready');
  if (options.waitReady) {
    const { printWhenReady } = await import('../running/wait-ready.js');
    return printWhenReady(context, options);
  }
  const agents = options.pid === undefined ? await severalAgents(context, options) : [];
  if (agents.length > 0)
    checkServices(
      args,
      agents.flatMap(({ status }) => servicesOf(status)),
      'no agent',
    );
  const several = agents.filter(({ status }) => args.length === 0 || has(status, args));
  for (const [index, { pid, status }] of several.entries()) {
    if (index > 0 && !context.json) context.stdout.line();
    if (status) await print(context, only(status, args));
    else if (context.json) printEvent(context, 'unresponsive', { pid: pid ?? null });
    else context.stdout.line(`pid ${pid ?? 'unknown'} does not respond`);
  }
  if (several.length > 0) return 0;
  const status = await (await findAgent(context, options, { listsOthers: true })).status();
  checkServices(args, servicesOf(status), 'the agent');
  await print(context, only(status, args));
  return 0;
}

const servicesOf = (status: AgentStatus | undefined): string[] => [
  ...new Set([...(status?.leases ?? []), ...(status?.unplaced ?? [])].map(({ service }) => service)),
];

const has = (status: AgentStatus | undefined, names: readonly string[]): boolean =>
  servicesOf(status).some((name) => names.includes(name));

/** The state of these services and their relays; of all if there are no names. */
function only(status: AgentStatus, names: readonly string[]): AgentStatus {
  if (names.length === 0) return status;
  const isNamed = ({ service }: { readonly service: string }): boolean => names.includes(service);
  const leases = status.leases.filter(isNamed);
  const { registry: _, unplaced = [], commands = [], held = [], ...rest } = status;
  const without = unplaced.filter(isNamed);
  const programs = commands.filter(isNamed);
  const waiting = held.filter(isNamed);
  return {
    ...rest,
    leases,
    relays: status.relays.filter(({ relay }) => leases.some((lease) => lease.relay === relay)),
    ...(without.length > 0 && { unplaced: without }),
    ...(programs.length > 0 && { commands: programs }),
    ...(waiting.length > 0 && { held: waiting }),
  };
}

async function print(context: Context, status: AgentStatus): Promise<void> {
  const { stdout, json } = context;
  if (json) return printEvent(context, 'status', status);
  const hinted = await hintsFor(context, status.file ?? undefined);
  const lines = describeStatus(status, createStyle(stdout.color), Date.now(), stdout.columns);
  for (const line of lines) stdout.line(hinted(line));
}

const UNDETECTED =
  'Portal has not detected yet whether the target speaks HTTP, because it has sent nothing. To choose, set `mode`.';

/** Columns that a narrow terminal does not show, in the order of removal. An address gets a line of its own. */
const OPTIONAL = ['OUT', 'IN', 'VERIFIED', 'SERVED AS', 'VISITORS', 'TARGET', 'FOR', 'RELAY', 'ADDRESS'];

/** Formats the status as lines of text. The table of services has fewer columns where `width` is small. */
export function describeStatus(status: AgentStatus, style: Style, now: number, width = Infinity): string[] {
  const up = formatAge(now - Date.parse(status.startedAt));
  const head = [status.file ?? 'no file', `pid ${status.pid}`, `up ${up}`];
  return [
    ...filled(head, width, ' · ').map(style.bold),
    `identity ${status.identity}`,
    ...(status.ca === undefined ? [] : [`local CA ${status.ca}`]),
    ...(status.inspector === undefined ? [] : [`inspector ${printable(status.inspector)}`]),
    ...describeRejected(status, style),
    '',
    ...describeLeases(status, style, now, width),
    ...describeHeldNow(status, style, now),
    ...describeCommands(status.commands, style, width),
    '',
    ...describeRelays(status.relays, style, width),
    ...describeRegistry(status),
  ];
}

function describeRejected({ rejected }: AgentStatus, style: Style): string[] {
  if (rejected.length === 0) return [];
  return [
    style.yellow(
      rejected.every(({ code }) => code === 'config_not_allowed')
        ? 'the file on disk asks for more than you allowed; to allow it, run `portal allow`. The agent runs the last allowed one:'
        : rejected.some(({ code }) => code === 'config_not_found')
          ? 'the file was deleted; the agent runs the last valid one:'
          : 'the file on disk has errors; the agent runs the last valid one:',
    ),
    ...rejected.map(
      ({ file, line, column, message }) => `  ${printable(file)}:${line}:${column}: ${printable(message)}`,
    ),
  ];
}

function describeLeases(
  { leases: all, relays, unplaced = [] }: Pick<AgentStatus, 'leases' | 'relays' | 'unplaced'>,
  style: Style,
  now: number,
  width: number,
): string[] {
  if (all.length + unplaced.length === 0) return ['no services'];
  const leases = all.map((lease) => withoutRelayError(lease, relays));
  const without = unplaced.map(({ service, since }) => [
    service,
    'no relay',
    formatAge(now - Date.parse(since)),
  ]);
  // The address does not always show the relay: a service may have its own domain, or no address yet.
  const isOnSeveral = new Set(leases.map(({ service }) => service)).size < leases.length;
  const showsRelay = isOnSeveral || leases.some((lease) => publicAddress(lease) === undefined);
  const onRelay = (relay: string): string[] => (showsRelay ? [relay] : []);
  const rows = leases.map((lease) => [
    lease.service,
    stateOf(lease),
    formatAge(now - Date.parse(lease.since)),
    publicAddress(lease) ?? '',
    ...onRelay(relayName(lease.relay)),
    targetOf(lease),
    lease.servedAs === 'undecided' ? 'unknown' : lease.servedAs,
    lease.provenAt === undefined ? 'never' : formatAgo(now - Date.parse(lease.provenAt)),
    String(lease.visitors),
    formatBytes(lease.bytesIn),
    formatBytes(lease.bytesOut),
  ]);
  const [header, ...lines] = fitColumns(
    [
      [
        'SERVICE',
        'STATE',
        'FOR',
        'ADDRESS',
        ...onRelay('RELAY'),
        'TARGET',
        'SERVED AS',
        'VERIFIED',
        'VISITORS',
        'IN',
        'OUT',
      ],
      ...rows,
      ...without,
    ],
    { optional: OPTIONAL, width },
  );
  return [
    style.dim(header!),
    ...lines.slice(0, rows.length).flatMap((line, index) => {
      const {
        error,
        nextInMs,
        phase,
        unproven,
        visitorsUnserved,
        replicas,
        dropped,
        retiring,
        mode,
        servedAs,
        targetError,
        healthError,
        askedPort,
        certificate,
        expiresAt,
        holdMs,
      } = leases[index]!;
      const notes = [
        !header!.includes('ADDRESS') && publicAddress(leases[index]!),
        ...(error ? errorLines(error) : []),
        nextInMs !== undefined && nextTry(nextInMs),
        unproven && describeUnproven(unproven, leases[index]!),
        describeGates(leases[index]!),
        holdMs && describeHold(holdMs),
        expiresAt !== undefined && describeExpiry(Date.parse(expiresAt), now),
        replicas && describeReplicas(replicas),
        visitorsUnserved && describeUnserved(visitorsUnserved),
        dropped && describeDropped(dropped),
        retiring !== undefined && describeRetiring(retiring),
        askedPort !== undefined &&
          `the relay assigned a port other than ${askedPort}: ${whyOtherPort(leases[index]!)}`,
        healthError && !targetError && `${printable(healthError)}; visitors still reach it`,
        // Without a lease, there are no visitors.
        ...targetProblems(leases[index]!).map(
          (problem) =>
            `${printable(problem)}${phase === 'ready' ? `; ${whileDown(mode, holdMs !== undefined)}` : ''}`,
        ),
        servedAs === 'undecided' && !targetError && UNDETECTED,
        ...(certificate?.error && !error ? errorLines(certificateFailure(certificate.error)) : []),
        certificate?.error && !error && certificate.nextAt && nextTry(Date.parse(certificate.nextAt) - now),
        certificate?.error &&
          certificate.notAfter &&
          `the current certificate is valid until ${certificate.notAfter}`,
      ];
      return [paintOf(style, leases[index]!)(line), ...notes.filter(Boolean).map((note) => `  ${note}`)];
    }),
    ...lines
      .slice(rows.length)
      .flatMap((line, index) => [
        style.red(line),
        ...errorLines(unplaced[index]!.error).map((text) => `  ${text}`),
      ]),
  ];
}

const certificateFailure = (error: ErrorSummary): ErrorSummary => ({
  ...error,
  message: `the new certificate failed: ${error.message}`,
});

const describeExpiry = (at: number, now: number): string =>
  `expires in ${formatWait(at - now)}, at ${timeText(at, now)}`;

/** Undefined if no datagram was dropped. */
function describeDropped(dropped: Readonly<Record<string, number>>): string | undefined {
  const reasons = Object.entries(dropped).filter(([, count]) => count > 0);
  if (reasons.length === 0) return undefined;
  const what = `datagrams dropped: ${reasons.map(([reason, count]) => `${count} ${reason}`).join(', ')}`;
  return dropped['receive_buffer'] === undefined
    ? what
    : `${what} (raise net.core.rmem_max, docs/explanation/performance.md)`;
}

function targetOf(lease: LeaseStatus): string {
  const { target, targetError, targetErrors = {}, healthError, routes = {} } = lease;
  const targets = Object.values(routes);
  const where = targets.length > 1 ? `${targets.length} routes` : target;
  const down = targets.filter((each) => targetErrors[each] !== undefined).length;
  if (isStarting(lease)) return `${where} (starting)`;
  if (targetError !== undefined)
    return down > 0 && down < targets.length ? `${where} (${down} down)` : `${where} (down)`;
  return healthError === undefined ? where : `${where} (unhealthy)`;
}

const relayRow = (name: string, { state, error, rttMs }: HopStatus): string[] => [
  name,
  // The agent does not retry.
  error?.code === 'disconnected' ? 'disconnected' : state,
  rttMs === undefined ? '' : `${Math.round(rttMs)} ms`,
];

function describeRelays(relays: readonly RelayStatus[], style: Style, width: number): string[] {
  if (relays.length === 0) return [];
  // The hops of a chain, starting with the one that the agent is connected to.
  const rows = relays.flatMap((relay) => [
    { name: relayName(relay.relay), status: relay },
    ...(relay.hops ?? [])
      .toReversed()
      .map((hop) => ({ name: `  through ${relayName(hop.relay)}`, status: { ...hop, nextInMs: undefined } })),
  ]);
  const [header, ...lines] = fitColumns(
    [['RELAY', 'STATE', 'ROUND TRIP'], ...rows.map(({ name, status }) => relayRow(name, status))],
    { optional: ['ROUND TRIP', 'STATE'], width },
  );
  const isStateBelow = !header!.includes('STATE');
  return [
    style.dim(header!),
    ...(isStateBelow ? [style.dim('  STATE')] : []),
    ...lines.flatMap((line, index) => {
      const { name, status } = rows[index]!;
      const { error, state, nextInMs } = status;
      const [, ...stateCells] = relayRow(name, status);
      const next = nextInMs === undefined || state === 'connected' ? [] : [nextTry(nextInMs)];
      const below = [
        ...(isStateBelow ? [stateCells.join('  ').trimEnd()] : []),
        ...(error ? errorLines(error) : []),
        ...next,
      ];
      return [line, ...below.map((text) => `  ${text}`)];
    }),
  ];
}

function describeRegistry({ registry }: AgentStatus): string[] {
  if (!registry) return [];
  const { source, relays, inChains, error } = registry;
  const count = relays === 1 ? '1 relay' : `${relays} relays`;
  const chained =
    inChains === undefined ? '' : `; the pool does not use ${inChains} of them, which are part of a chain`;
  return [
    `registry ${printable(source)}: ${count}${chained}`,
    ...(error ? errorLines(error).map((line) => `  ${line}`) : []),
  ];
}

function stateOf(lease: LeaseStatus): string {
  if (lease.phase !== 'ready') return lease.phase;
  const state = servedState(lease);
  return state === 'unverified' ? UNVERIFIED : state;
}

function paintOf(style: Style, lease: LeaseStatus): Paint {
  if (stateOf(lease) === 'ready') return style.green;
  return lease.phase === 'failed' ? style.red : style.yellow;
}
