import type { RequestRow } from '../../agent/inspect/wire.js';
import type { HeldStatus, LeaseStatus, RelayStatus } from '../../agent/status.js';
import type { UnplacedStatus } from '../../reconcile/events.js';
import { describeError, describeUnproven, nextTry, publicAddress, relayName } from '../reporters/describe.js';
import type { TimedEvent } from '../reporters/reporter.js';
import { isStarting, servedState, type ServedState } from '../../agent/served-state.js';
import { targetProblems, withoutRelayError } from '../running/state.js';
import { printable } from '../text/style.js';

type Shown = Pick<
  RequestRow,
  'startedAt' | 'service' | 'method' | 'target' | 'outcome' | 'status' | 'totalMs'
>;

/** The agent's current state, read without a check. */
export interface Snapshot {
  readonly relays: readonly RelayStatus[];
  readonly leases: readonly LeaseStatus[];
  readonly unplaced: readonly UnplacedStatus[];
  /** Routes with held requests. */
  readonly held?: readonly HeldStatus[] | undefined;
  /** The latest recorded requests, newest last. */
  readonly requests: readonly Shown[];
  readonly inspector: string | undefined;
}

export type State = ServedState | 'starting' | 'retrying' | 'failed' | 'no relay' | 'stopping';

/** A service in the live view. Every text is safe to print. */
export interface ServiceView {
  readonly service: string;
  readonly state: State;
  readonly addresses: readonly string[];
  readonly target: string;
  /** Undefined while unknown. */
  readonly isReachable: boolean | undefined;
  /** Problems that affect visitors, or may affect them. */
  readonly problems: readonly string[];
  /** Visitors connected now. */
  readonly open: number;
  /** Requests that wait until the target is back. */
  readonly held: number;
  /** Requests since the start, if Portal counts them. */
  readonly requests: number | undefined;
  /** Requests per second if Portal counts them, else bytes per second. */
  readonly rate: { readonly unit: 'requests' | 'bytes'; readonly perSecond: number };
  readonly lastStatus: number | undefined;
  /** The target changed or recovered after the last response. */
  readonly isLastOutdated: boolean;
}

export interface RelayView {
  readonly name: string;
  readonly state: RelayStatus['state'];
  readonly rttMs: number | undefined;
  readonly error: string | undefined;
  /** Seconds until the next attempt; undefined while connected, and during an attempt. */
  readonly nextTryS: number | undefined;
  /** Whether the configuration no longer has it. */
  readonly isLeaving?: true;
}

export interface RequestView {
  readonly time: Date;
  readonly service: string;
  readonly what: string;
  readonly status: string;
  readonly ms: number | undefined;
}

export interface View {
  readonly services: readonly ServiceView[];
  readonly relays: readonly RelayView[];
  readonly requests: readonly RequestView[];
  readonly inspector: string | undefined;
}

interface Sample {
  readonly at: number;
  readonly requests: number;
  readonly bytes: number;
}

/** Rates are averages over this time. */
const RATE_MS = 3_000;
/** Best state first: a service has the state of its best lease. */
const BEST: readonly State[] = [
  'ready',
  'unverified',
  'unhealthy',
  'degraded',
  'target down',
  'retrying',
  'starting',
  'failed',
  'stopping',
];

const rankOf = (lease: LeaseStatus): number => BEST.indexOf(stateOf(lease));

/** Combines the data of the live view. */
export class LiveModel {
  /** Whether each target is reachable, per service, from events. */
  readonly #verdicts = new Map<string, Map<string, boolean>>();
  readonly #samples = new Map<string, Sample[]>();
  /** Services whose target changed or recovered: their last status is out of date. */
  readonly #renewed = new Set<string>();
  /** The number of requests of each at that time. */
  readonly #outdated = new Map<string, number>();
  /** The services with an address, until they stop. */
  #served: readonly ServiceView[] = [];
  /** Services that were ready at some time. */
  readonly #published = new Set<string>();

  /** The last public addresses of every service, even after the services stopped. */
  get served(): { service: string; address: string }[] {
    const published = this.#served.filter(({ service }) => this.#published.has(service));
    return published.flatMap(({ service, addresses }) => addresses.map((address) => ({ service, address })));
  }

  note(event: TimedEvent): void {
    if (event.event !== 'target') return;
    this.#renewed.add(event.service);
    const verdicts = this.#verdicts.get(event.service) ?? new Map<string, boolean>();
    this.#verdicts.set(event.service, verdicts.set(event.target, event.reachable));
  }

  view(snapshot: Snapshot, now: number): View {
    const { held = [] } = snapshot;
    const open = snapshot.leases.filter(({ phase }) => phase !== 'closed');
    const lasting = open.filter(({ phase }) => phase !== 'draining');
    // While the agent stops, every lease drains. Otherwise a draining lease was replaced or removed.
    const leases = lasting.length > 0 ? lasting : open;
    const names = [...new Set(leases.map(({ service }) => service))];
    const placed = names.map((name) =>
      this.#serviceOf(
        name,
        leases
          .filter(({ service }) => service === name)
          .map((lease) => withoutRelayError(lease, snapshot.relays)),
        heldOf(name, held),
        now,
      ),
    );
    if (lasting.length > 0) this.#served = placed;
    for (const { service, phase } of lasting) if (phase === 'ready') this.#published.add(printable(service));
    return {
      services: [
        ...placed,
        ...snapshot.unplaced.map((each) => unplacedView(each, heldOf(each.service, held))),
      ],
      relays: snapshot.relays.map(relayView),
      requests: snapshot.requests.map(requestView),
      inspector: snapshot.inspector,
    };
  }

  #serviceOf(service: string, unordered: readonly LeaseStatus[], held: number, now: number): ServiceView {
    const leases = unordered.toSorted((one, other) => rankOf(one) - rankOf(other));
    const [first] = leases;
    const problems = [...new Set(leases.flatMap((lease) => problemsOf(lease, leases.length > 1)))];
    const routes = Object.keys(first!.routes ?? {}).length;
    return {
      service: printable(service),
      state: combined(leases, problems),
      addresses: leases.flatMap((lease) => publicAddress(lease) ?? []),
      target: routes > 1 ? `${routes} routes` : printable(first!.target),
      isReachable: this.#isReachable(first!),
      problems,
      open: sumOf(leases, ({ visitors }) => visitors),
      held,
      requests: requestsOf(leases),
      rate: this.#rateOf(service, leases, now),
      lastStatus: leases.findLast(({ lastStatus }) => lastStatus !== undefined)?.lastStatus,
      isLastOutdated: this.#isLastOutdated(service, leases),
    };
  }

  #isLastOutdated(service: string, leases: readonly LeaseStatus[]): boolean {
    const requests = requestsOf(leases) ?? 0;
    if (this.#renewed.delete(service)) this.#outdated.set(service, requests);
    if (this.#outdated.get(service) === requests) return true;
    this.#outdated.delete(service);
    return false;
  }

  #isReachable(lease: LeaseStatus): boolean | undefined {
    const { service, target, routes, targetError, mode } = lease;
    if (targetError !== undefined) return isStarting(lease) ? undefined : false;
    // An open UDP socket, or one reply, does not show that the service responds now.
    if (mode === 'udp') return undefined;
    const verdicts = this.#verdicts.get(service);
    const found = [...new Set(Object.values(routes ?? { '/': target }))].map((each) => verdicts?.get(each));
    return found.includes(undefined) ? undefined : true;
  }

  #rateOf(service: string, leases: readonly LeaseStatus[], now: number): ServiceView['rate'] {
    const requests = requestsOf(leases);
    const sample = {
      at: now,
      requests: requests ?? 0,
      bytes: sumOf(leases, ({ bytesIn, bytesOut }) => bytesIn + bytesOut),
    };
    const samples = (this.#samples.get(service) ?? []).filter(({ at }) => now - at <= RATE_MS);
    this.#samples.set(service, [...samples, sample]);
    const unit = requests === undefined ? 'bytes' : 'requests';
    const [before = sample] = samples;
    const seconds = (now - before.at) / 1_000;
    // The counters of a reopened lease start at 0.
    const perSecond = seconds > 0 ? Math.max(0, sample[unit] - before[unit]) / seconds : 0;
    return { unit, perSecond };
  }
}

const sumOf = <T>(all: readonly T[], of: (each: T) => number): number =>
  all.reduce((sum, each) => sum + of(each), 0);

const heldOf = (name: string, held: readonly HeldStatus[]): number =>
  sumOf(
    held.filter(({ service }) => service === name),
    ({ waiting }) => waiting,
  );

/** Undefined if the service does not speak HTTP. A target that has not spoken yet has had no request. */
const requestsOf = (leases: readonly LeaseStatus[]): number | undefined =>
  leases.some(({ requests, servedAs }) => requests !== undefined || servedAs === 'http') ||
  leases.every(({ servedAs }) => servedAs === 'undecided')
    ? sumOf(leases, ({ requests = 0 }) => requests)
    : undefined;

function stateOf(lease: LeaseStatus): State {
  const { phase } = lease;
  if (phase === 'ready') return servedState(lease);
  if (phase === 'draining' || phase === 'closed') return 'stopping';
  return phase === 'retrying' || phase === 'failed' ? phase : 'starting';
}

/** The state of the best lease, the first one. A service is `ready` only if no other lease has a problem. */
function combined(leases: readonly LeaseStatus[], problems: readonly string[]): State {
  const [best = 'starting', ...others] = leases.map(stateOf);
  const isWhole = problems.length === 0 && others.every((state) => state === 'ready' || state === 'starting');
  return best === 'ready' && !isWhole ? 'degraded' : best;
}

/** @param isOnSeveral whether the service has leases on other relays, too */
function problemsOf(lease: LeaseStatus, isOnSeveral: boolean): string[] {
  const { error, nextInMs, unproven, targetError, healthError, starting } = lease;
  const relay = relayName(lease.relay);
  const onRelay = [
    error && describeError(error),
    nextInMs !== undefined && nextTry(nextInMs),
    unproven && describeUnproven(unproven, lease),
  ].filter((problem) => typeof problem === 'string');
  // The state says it, unless the command waits for other services.
  const isSaid = isStarting(lease) && starting?.waitsFor === undefined;
  return [
    ...(isSaid ? [] : targetProblems(lease).map(printable)),
    ...(healthError && !targetError ? [printable(healthError)] : []),
    ...onRelay.map((problem) =>
      !isOnSeveral || problem.includes(relay) ? problem : `on ${relay}: ${problem}`,
    ),
  ];
}

function unplacedView({ service, error }: UnplacedStatus, held: number): ServiceView {
  return {
    service: printable(service),
    state: 'no relay',
    addresses: [],
    target: '',
    isReachable: undefined,
    problems: [describeError(error)],
    open: 0,
    held,
    requests: undefined,
    rate: { unit: 'bytes', perSecond: 0 },
    lastStatus: undefined,
    isLastOutdated: false,
  };
}

function relayView({ relay, state, rttMs, error, nextInMs, leaving }: RelayStatus): RelayView {
  const nextTryS =
    nextInMs === undefined || state === 'connected' ? undefined : Math.max(1, Math.ceil(nextInMs / 1_000));
  return {
    name: relayName(relay),
    state,
    rttMs,
    error: error && describeError(error),
    nextTryS,
    ...(leaving && { isLeaving: true }),
  };
}

function requestView({ startedAt, service, method, target, outcome, status, totalMs }: Shown): RequestView {
  return {
    time: new Date(startedAt),
    service: printable(service),
    what: printable(`${method} ${target}`),
    status: status === undefined ? outcome : String(status),
    ms: totalMs,
  };
}
