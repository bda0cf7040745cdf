import type { PortalEvent } from '../../reconcile/events.js';
import { printable, type Style } from '../style.js';
import { describeEvent, errorLines, relayName } from './describe.js';

type Lease = Extract<PortalEvent, { event: 'lease' }>;

/** Up to this many leases that are lost or ready again together get a line each. */
const FEW = 1;
/** Leases of a relay that is back become ready within this time, most of them. */
const BACK_MS = 500;

const NAME_CODES: ReadonlySet<string | undefined> = new Set(['name_taken', 'name_reserved']);

/**
 * Prints events, with one line for many services: if a relay is lost with all its leases, or if all names on a relay
 * belong to another identity.
 */
export class Crowd {
  readonly #style: Style;
  readonly #print: (line: string) => void;
  #lost: Lease[] = [];
  /** Leases that were lost in a crowd. */
  readonly #away = new Set<string>();
  /** Leases of these that are ready again. */
  #back: Lease[] = [];
  #backTimer: NodeJS.Timeout | undefined;
  /** Leases that failed because of their names. They wait until the other services on the relay are settled. */
  #refused: Lease[] = [];
  /** The phase of each service, by relay. */
  readonly #phases = new Map<string, Map<string, Lease['phase']>>();
  #isFirstPassOver = false;

  constructor(style: Style, print: (line: string) => void) {
    this.#style = style;
    this.#print = print;
  }

  /** Prints an event. Leases that are lost together arrive in one turn of the event loop. */
  tell(event: PortalEvent): void {
    if (event.event === 'lease' && event.phase === 'retrying') {
      if (this.#lost.push(event) === 1) setImmediate(() => this.#flushLost());
      return;
    }
    this.#flushLost();
    if (event.event === 'lease' && event.phase === 'ready' && this.#away.delete(placeOf(event))) {
      this.#back.push(event);
      this.#backTimer ??= setTimeout(() => this.#flushBack(), BACK_MS).unref();
      return;
    }
    if (event.event === 'lease' && event.phase === 'failed' && NAME_CODES.has(event.error?.code))
      this.#refused.push(event);
    else this.#print(describeEvent(event, this.#style));
  }

  /** Takes every event, after `tell`: knows from them which services are on a relay. */
  note(event: PortalEvent): void {
    if (event.event === 'lease') this.#notePhase(event);
    if (event.event === 'applied' || event.event === 'ready') this.#isFirstPassOver = true;
    if (event.event === 'applied' || event.event === 'ready' || event.event === 'stopped') this.flush();
    else if (this.#isFirstPassOver && this.#refused.every(({ relay }) => this.#isSettled(relay)))
      this.#flushRefused();
  }

  flush(): void {
    this.#flushLost();
    this.#flushBack();
    this.#flushRefused();
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
    const lost = this.#lost;
    this.#lost = [];
    const keys = new Set(lost.map(keyOf));
    for (const key of keys)
      for (const line of this.#lostLines(lost.filter((each) => keyOf(each) === key))) this.#print(line);
  }

  #lostLines(leases: readonly Lease[]): string[] {
    if (leases.length <= FEW) return leases.map((lease) => describeEvent(lease, this.#style));
    for (const lease of leases) this.#away.add(placeOf(lease));
    const [{ relay, error }] = leases as [Lease];
    const { bold, yellow } = this.#style;
    const why = error ? `: ${errorLines(error).join('\n')}` : '';
    return [`${bold(relayName(relay))}: ${leases.length} services ${yellow('retrying')}${why}`];
  }

  #flushBack(): void {
    clearTimeout(this.#backTimer);
    this.#backTimer = undefined;
    const back = this.#back;
    this.#back = [];
    for (const relay of new Set(back.map((each) => each.relay))) {
      const there = back.filter((each) => each.relay === relay);
      if (there.length <= FEW) for (const lease of there) this.#print(describeEvent(lease, this.#style));
      else
        this.#print(
          `${this.#style.bold(relayName(relay))}: ${there.length} services ${this.#style.green('ready')} again`,
        );
    }
  }

  #flushRefused(): void {
    const refused = this.#refused;
    this.#refused = [];
    for (const relay of new Set(refused.map((each) => each.relay)))
      for (const line of this.#refusedLines(
        relay,
        refused.filter((each) => each.relay === relay),
      ))
        this.#print(line);
  }

  #refusedLines(relay: string, leases: readonly Lease[]): string[] {
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

const placeOf = ({ relay, service }: Lease): string => `${relay} ${service}`;

const keyOf = ({ relay, error }: Lease): string => `${relay} ${error?.code} ${error?.message}`;

/** The relay that assigns the names. In a chain, the first one. */
function hostOf(relay: string): string {
  const [entry = relay] = relay.split(',');
  return URL.canParse(entry) ? new URL(entry).host : relayName(relay);
}
