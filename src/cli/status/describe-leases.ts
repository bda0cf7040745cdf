import type { ErrorSummary, LeaseStatus } from '../../agent/status.js';
import { isStarting, servedState } from '../../agent/served-state.js';
import type { AgentStatus } from '../../reconcile/events.js';
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
import { describeHold } from '../reporters/describe-held.js';
import { targetProblems, withoutRelayError } from '../running/state.js';
import { whileDown } from '../running/while-down.js';
import { formatAge, formatAgo, formatBytes, formatWait, timeText } from '../text/amounts.js';
import { fitColumns } from '../text/columns.js';
import { printable, type Paint, type Style } from '../text/style.js';

/** Only a target that stays silent is worth a note: the first visit or the first probes show what others speak. */
const UNDETECTED =
  'the target is silent, so Portal does not know yet whether it speaks HTTP. To choose, set `mode`.';
const UNDETECTED_AFTER_MS = 10_000;

/** Columns that a narrow terminal does not show, in the order of removal. An address gets a line of its own. */
const OPTIONAL = [
  'OUT',
  'IN',
  'VERIFIED',
  'SERVED AS',
  'REQUESTS',
  'OPEN',
  'TARGET',
  'FOR',
  'RELAY',
  'ADDRESS',
];

/** The table of services, and below each what is wrong or unusual. */
export function describeLeases(
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
  const countsRequests = leases.some(({ servedAs }) => servedAs === 'http');
  const ofRequests = (cell: string): string[] => (countsRequests ? [cell] : []);
  const rows = leases.map((lease) => [
    lease.service,
    stateOf(lease),
    formatAge(now - stateSince(lease)),
    publicAddress(lease) ?? '',
    ...onRelay(relayName(lease.relay)),
    targetOf(lease),
    lease.servedAs === 'undecided' ? 'unknown' : lease.servedAs,
    lease.provenAt === undefined ? 'never' : formatAgo(now - Date.parse(lease.provenAt)),
    String(lease.visitors),
    ...ofRequests(lease.servedAs === 'http' ? String(lease.requests ?? 0) : '–'),
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
        'OPEN',
        ...ofRequests('REQUESTS'),
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
      const lease = leases[index]!;
      const notes = notesOn(lease, now, header!.includes('ADDRESS'));
      return [paintOf(style, lease)(line), ...notes.map((note) => `  ${note}`)];
    }),
    ...lines
      .slice(rows.length)
      .flatMap((line, index) => [
        style.red(line),
        ...errorLines(unplaced[index]!.error).map((text) => `  ${text}`),
      ]),
  ];
}

/** What a user should know of a service, in lines below its row. */
function notesOn(lease: LeaseStatus, now: number, showsAddress: boolean): string[] {
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
  } = lease;
  return [
    !showsAddress && publicAddress(lease),
    ...(error ? errorLines(error) : []),
    nextInMs !== undefined && nextTry(nextInMs),
    unproven && describeUnproven(unproven, lease),
    describeGates(lease),
    holdMs && describeHold(holdMs),
    expiresAt !== undefined && describeExpiry(Date.parse(expiresAt), now),
    replicas && describeReplicas(replicas),
    visitorsUnserved && describeUnserved(visitorsUnserved),
    dropped && describeDropped(dropped),
    retiring !== undefined && describeRetiring(retiring),
    askedPort !== undefined && `the relay assigned a port other than ${askedPort}: ${whyOtherPort(lease)}`,
    healthError && !targetError && `${printable(healthError)}; visitors still reach it`,
    // Without a lease, there are no visitors.
    ...targetProblems(lease).map(
      (problem) =>
        `${printable(problem)}${phase === 'ready' ? `; ${whileDown(mode, holdMs !== undefined)}` : ''}`,
    ),
    servedAs === 'undecided' &&
      phase === 'ready' &&
      !targetError &&
      now - stateSince(lease) > UNDETECTED_AFTER_MS &&
      UNDETECTED,
    certificate?.expiresSoon && !certificate.error && describeEnd(certificate.notAfter!, now),
    ...(certificate?.error
      ? certificateNotes(certificate, certificate.error, { isKnown: error !== undefined, now })
      : []),
  ].filter((note) => typeof note === 'string' && note !== '') as string[];
}

function describeEnd(notAfter: string, now: number): string {
  return Date.parse(notAfter) <= now
    ? `the certificate expired at ${notAfter}; browsers reject it`
    : `the certificate is valid until ${notAfter}; renew it`;
}

/** @param isKnown whether the service itself shows the error */
function certificateNotes(
  { nextAt, notAfter }: NonNullable<LeaseStatus['certificate']>,
  error: ErrorSummary,
  { isKnown, now }: { readonly isKnown: boolean; readonly now: number },
): string[] {
  const failed = { ...error, message: `the new certificate failed: ${error.message}` };
  return [
    ...(isKnown ? [] : errorLines(failed)),
    ...(!isKnown && nextAt ? [nextTry(Date.parse(nextAt) - now)] : []),
    ...(notAfter ? [`the current certificate is valid until ${notAfter}`] : []),
  ];
}

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

/** A published service changes its state with its local service, too. */
function stateSince({ phase, since, localSince }: LeaseStatus): number {
  const published = Date.parse(since);
  return phase === 'ready' && localSince !== undefined
    ? Math.max(published, Date.parse(localSince))
    : published;
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
