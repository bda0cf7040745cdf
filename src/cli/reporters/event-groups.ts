import type { PortalEvent } from '../../reconcile/events.js';
import { printable, type Style } from '../text/style.js';
import { describeEvent, errorLines, relayName, firstNames } from './describe.js';
import { LostLeases } from './lost-leases.js';

type Lease = Extract<PortalEvent, { event: 'lease' }>;
type Target = Extract<PortalEvent, { event: 'target' }>;

/** More leases than this that are lost or recover together share a line. */
const MAX_SEPARATE = 1;
/** The events of a relay's leases come together, from a background agent with a short delay. */
const LOST_MS = 200;
/** Most leases of a relay that recovers become ready within this time. */
const RECOVERY_MS = 500;

/** More targets than this that change within `TARGETS_MS` share a line. */
const MAX_TARGETS = 3;
const TARGETS_MS = 300;

const NAME_CODES: ReadonlySet<string | undefined> = new Set(['name_taken', 'name_reserved']);

/**
 * Prints events, with one line for many services in three cases: a relay is lost with all its leases, many targets stop,
 * or all names on a relay belong to another identity.
 */
export class EventGroups {
  readonly #style: Style;
  readonly #print: (line: string) => void;
  #lost: Lease[] = [];
  #lostTimer: NodeJS.Timeout | undefined;
  /** Leases that were lost together. */
  readonly #lostTogether = new LostLeases();
  /** Lost leases that are ready again. */
  #recovered: Lease[] = [];
  #recoveryTimer: NodeJS.Timeout | undefined;
  /**
   * Leases that failed because of their names. They wait until the other services on the relay have their first
   * outcome.
   */
  #rejected: Lease[] = [];
  /** Targets that became reachable or unreachable together: a program with many ports that ends, for example. */
  #targets: Target[] = [];
  #targetTimer: NodeJS.Timeout | undefined;
  /** The phase of each service, by relay. */
  readonly #phases = new Map<string, Map<string, Lease['phase']>>();
  #isFirstPassOver = false;

  constructor(style: Style, print: (line: string) => void) {
    this.#style = style;
    this.#print = print;
  }

  /** Prints an event. */
  print(event: PortalEvent): void {
    if (event.event === 'lease' && (event.phase === 'retrying' || isFailure(event))) {
      this.#lost.push(event);
      this.#lostTimer ??= setTimeout(() => this.#flushLost(), LOST_MS).unref();
      return;
    }
    this.#flushLost();
    if (event.event === 'target') {
      this.#targets.push(event);
      this.#targetTimer ??= setTimeout(() => this.#flushTargets(), TARGETS_MS).unref();
      return;
    }
    this.#flushTargets();
    if (event.event === 'stopped') this.flush();
    if (
      event.event === 'lease' &&
      event.phase === 'ready' &&
      this.#lostTogether.isBack(placeOf(event), event)
    ) {
      this.#recovered.push(event);
      this.#recoveryTimer ??= setTimeout(() => this.#flushRecovered(), RECOVERY_MS).unref();
      return;
    }
    if (event.event === 'lease' && event.phase === 'failed' && NAME_CODES.has(event.error?.code))
      this.#rejected.push(event);
    else this.#print(describeEvent(event, this.#style));
  }

  /** Learns from every event, after `print`, which services are on a relay. */
  note(event: PortalEvent): void {
    if (event.event === 'lease') this.#notePhase(event);
    if (event.event === 'applied' || event.event === 'ready') this.#isFirstPassOver = true;
    if (event.event === 'applied' || event.event === 'ready' || event.event === 'stopped') this.flush();
    else if (this.#isFirstPassOver && this.#rejected.every(({ relay }) => this.#isSettled(relay)))
      this.#flushRejected();
  }

  flush(): void {
    this.#flushLost();
    this.#flushTargets();
    this.#flushRecovered();
    this.#flushRejected();
  }

  #notePhase({ service, relay, phase }: Lease): void {
    const phases = this.#phases.get(relay) ?? new Map<string, Lease['phase']>();
    this.#phases.set(relay, phases);
    if (phase === 'draining' || phase === 'closed') phases.delete(service);
    else phases.set(service, phase);
  }

  #isSettled(relay: string): boolean {
    const phases = [...(this.#phases.get(relay)?.values() ?? [])];
    return !phases.includes('connecting') && !phases.includes('opening');
  }

  #flushLost(): void {
    clearTimeout(this.#lostTimer);
    this.#lostTimer = undefined;
    const lost = this.#lost;
    this.#lost = [];
    const keys = new Set(lost.map(keyOf));
    for (const key of keys)
      for (const line of this.#lostLines(lost.filter((each) => keyOf(each) === key))) this.#print(line);
  }

  #lostLines(leases: readonly Lease[]): string[] {
    if (leases.length <= MAX_SEPARATE) return leases.map((lease) => describeEvent(lease, this.#style));
    for (const lease of leases) this.#lostTogether.add(placeOf(lease), lease);
    const [{ relay, error, phase }] = leases as [Lease];
    const { bold, yellow, red } = this.#style;
    const why = error ? `: ${errorLines(error).join('\n')}` : '';
    const where = error?.message.includes(relay) === true ? '' : `${bold(relayName(relay))}: `;
    return [`${where}${leases.length} services ${phase === 'failed' ? red(phase) : yellow(phase)}${why}`];
  }

  #flushTargets(): void {
    clearTimeout(this.#targetTimer);
    this.#targetTimer = undefined;
    const targets = this.#targets;
    this.#targets = [];
    for (const isReachable of [true, false])
      for (const line of this.#targetLines(targets.filter(({ reachable }) => reachable === isReachable)))
        this.#print(line);
  }

  #targetLines(targets: readonly Target[]): string[] {
    if (targets.length <= MAX_TARGETS) return targets.map((each) => describeEvent(each, this.#style));
    const [{ service, reachable, error }] = targets as [Target];
    const { green, yellow } = this.#style;
    const state = reachable ? green('reachable again') : yellow('unreachable');
    const names = firstNames([...new Set(targets.map((each) => each.service))]);
    const example = error === undefined ? '' : `\n  ${service}: ${printable(error)}`;
    return [`${targets.length} targets ${state}: ${names}${example}`];
  }

  #flushRecovered(): void {
    clearTimeout(this.#recoveryTimer);
    this.#recoveryTimer = undefined;
    const back = this.#recovered;
    this.#recovered = [];
    for (const relay of new Set(back.map((each) => each.relay))) {
      const there = back.filter((each) => each.relay === relay);
      if (there.length <= MAX_SEPARATE)
        for (const lease of there) this.#print(describeEvent(lease, this.#style));
      else
        this.#print(
          `${this.#style.bold(relayName(relay))}: ${there.length} services ${this.#style.green('ready')} again`,
        );
    }
  }

  #flushRejected(): void {
    const rejected = this.#rejected;
    this.#rejected = [];
    for (const relay of new Set(rejected.map((each) => each.relay)))
      for (const line of this.#rejectedLines(
        relay,
        rejected.filter((each) => each.relay === relay),
      ))
        this.#print(line);
  }

  #rejectedLines(relay: string, leases: readonly Lease[]): string[] {
    const services = new Set(leases.map(({ service }) => service));
    const isAll = [...(this.#phases.get(relay)?.keys() ?? [])].every((service) => services.has(service));
    if (services.size < 2 || !isAll) return leases.map((lease) => describeEvent(lease, this.#style));
    const isTaken = leases.every(({ error }) => error?.code === 'name_taken');
    const what = isTaken ? 'taken by another identity' : 'taken or reserved';
    const [example] = services;
    return [
      `${this.#style.red(`All ${services.size} names are ${what}`)} on ${hostOf(relay)}. Use a different name for each person, for example \`name: ${printable(example!)}-\${user}\`.`,
    ];
  }
}

/** A failure that services may share, such as a port of the embedded relay. Names have lines of their own. */
const isFailure = ({ phase, error }: Lease): boolean => phase === 'failed' && !NAME_CODES.has(error?.code);

const placeOf = ({ relay, service }: Lease): string => `${relay} ${service}`;

const keyOf = ({ relay, phase, error }: Lease): string =>
  `${relay} ${phase} ${error?.code} ${error?.message}`;

/** The relay that assigns the names. In a chain, the first one. */
function hostOf(relay: string): string {
  const [entry = relay] = relay.split(',');
  return URL.canParse(entry) ? new URL(entry).host : relayName(relay);
}
