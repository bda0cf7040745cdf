import type { RequestRow } from '../../agent/inspect/wire.js';
import type { LeaseStatus, RelayStatus } from '../../agent/status.js';
import type { UnplacedStatus } from '../../reconcile/events.js';
import { describeError, describeUnproven, publicAddress, relayName } from '../reporters/describe.js';
import type { TimedEvent } from '../reporters/reporter.js';
import { printable } from '../style.js';

type Shown = Pick<
  RequestRow,
  'startedAt' | 'service' | 'method' | 'target' | 'outcome' | 'status' | 'totalMs'
>;

/** What the agent knows of itself now, without asking anybody. */
export interface Snapshot {
  readonly relays: readonly RelayStatus[];
  readonly leases: readonly LeaseStatus[];
  readonly unplaced: readonly UnplacedStatus[];
  /** The latest that are recorded, the newest last. */
  readonly requests: readonly Shown[];
  readonly inspector: string | undefined;
}

export type State = 'ready' | 'unproven' | 'starting' | 'retrying' | 'failed' | 'no relay';

/** A service as the live view shows it: every text is safe to print. */
export interface ServiceView {
  readonly service: string;
  readonly state: State;
  readonly addresses: readonly string[];
  readonly target: string;
  /** Undefined while it is not known. */
  readonly isReachable: boolean | undefined;
  /** Problems that stop visitors, or may stop them. */
  readonly problems: readonly string[];
  readonly visitors: number;
  /** Requests a second where they are counted, else bytes a second. */
  readonly rate: { readonly unit: 'requests' | 'bytes'; readonly perSecond: number };
  readonly lastStatus: number | undefined;
}

export interface RelayView {
  readonly name: string;
  readonly state: RelayStatus['state'];
  readonly rttMs: number | undefined;
  readonly error: string | undefined;
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

/** Rates are means over this. */
const RATE_MS = 3_000;
/** The best comes first: a service is as well off as the best of its leases. */
const BEST: readonly State[] = ['ready', 'unproven', 'retrying', 'starting', 'failed'];

/** Puts together what the live view shows. */
export class LiveModel {
  /** Whether each target answers, by service, from events. */
  readonly #verdicts = new Map<string, Map<string, boolean>>();
  readonly #samples = new Map<string, Sample[]>();

  note(event: TimedEvent): void {
    if (event.event !== 'target') return;
    const verdicts = this.#verdicts.get(event.service) ?? new Map<string, boolean>();
    this.#verdicts.set(event.service, verdicts.set(event.target, event.reachable));
  }

  view(snapshot: Snapshot, now: number): View {
    const leases = snapshot.leases.filter(({ phase }) => phase !== 'closed' && phase !== 'draining');
    const names = [...new Set(leases.map(({ service }) => service))];
    const placed = names.map((name) =>
      this.#serviceOf(
        name,
        leases.filter(({ service }) => service === name),
        now,
      ),
    );
    return {
      services: [...placed, ...snapshot.unplaced.map(unplacedView)],
      relays: snapshot.relays.map(relayView),
      requests: snapshot.requests.map(requestView),
      inspector: snapshot.inspector,
    };
  }

  #serviceOf(service: string, leases: readonly LeaseStatus[], now: number): ServiceView {
    const [first] = leases;
    const states = leases.map(stateOf);
    const state = BEST.find((each) => states.includes(each)) ?? 'starting';
    const routes = Object.keys(first!.routes ?? {}).length;
    return {
      service: printable(service),
      state,
      addresses: leases.flatMap((lease) => publicAddress(lease) ?? []),
      target: routes > 1 ? `${routes} routes` : printable(first!.target),
      isReachable: this.#isReachable(first!),
      problems: [...new Set(leases.flatMap(problemsOf))],
      visitors: sumOf(leases, ({ visitors }) => visitors),
      rate: this.#rateOf(service, leases, now),
      lastStatus: leases.findLast(({ lastStatus }) => lastStatus !== undefined)?.lastStatus,
    };
  }

  #isReachable({ service, target, routes, targetError }: LeaseStatus): boolean | undefined {
    if (targetError !== undefined) return false;
    const verdicts = this.#verdicts.get(service);
    const found = [...new Set(Object.values(routes ?? { '/': target }))].map((each) => verdicts?.get(each));
    return found.includes(undefined) ? undefined : true;
  }

  #rateOf(service: string, leases: readonly LeaseStatus[], now: number): ServiceView['rate'] {
    const sample = {
      at: now,
      requests: sumOf(leases, ({ requests = 0 }) => requests),
      bytes: sumOf(leases, ({ bytesIn, bytesOut }) => bytesIn + bytesOut),
    };
    const samples = (this.#samples.get(service) ?? []).filter(({ at }) => now - at <= RATE_MS);
    this.#samples.set(service, [...samples, sample]);
    const unit = leases.some(({ requests }) => requests !== undefined) ? 'requests' : 'bytes';
    const [before = sample] = samples;
    const seconds = (now - before.at) / 1_000;
    // A lease that was opened anew counts from 0 again.
    const perSecond = seconds > 0 ? Math.max(0, sample[unit] - before[unit]) / seconds : 0;
    return { unit, perSecond };
  }
}

const sumOf = <T>(all: readonly T[], of: (each: T) => number): number =>
  all.reduce((sum, each) => sum + of(each), 0);

function stateOf({ phase, unproven }: LeaseStatus): State {
  if (phase === 'ready') return unproven ? 'unproven' : 'ready';
  return phase === 'retrying' || phase === 'failed' ? phase : 'starting';
}

function problemsOf({ error, unproven, targetError, healthError }: LeaseStatus): string[] {
  return [
    targetError && printable(targetError),
    healthError && !targetError && printable(healthError),
    error && describeError(error),
    unproven && describeUnproven(unproven),
  ].filter((problem) => typeof problem === 'string');
}

function unplacedView({ service, error }: UnplacedStatus): ServiceView {
  return {
    service: printable(service),
    state: 'no relay',
    addresses: [],
    target: '',
    isReachable: undefined,
    problems: [describeError(error)],
    visitors: 0,
    rate: { unit: 'bytes', perSecond: 0 },
    lastStatus: undefined,
  };
}

function relayView({ relay, state, rttMs, error }: RelayStatus): RelayView {
  return { name: relayName(relay), state, rttMs, error: error && describeError(error) };
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
