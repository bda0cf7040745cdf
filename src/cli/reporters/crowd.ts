import type { PortalEvent } from '../../reconcile/events.js';
import type { Style } from '../style.js';
import { describeError, describeEvent, relayName } from './describe.js';

type Lease = Extract<PortalEvent, { event: 'lease' }>;

/** Up to so many leases that are lost together are told one by one. */
const FEW = 2;

/** A relay that is lost takes all leases on it along: that is one line, and not one a lease. */
export class Crowd {
  readonly #style: Style;
  readonly #print: (line: string) => void;
  #lost: Lease[] = [];

  constructor(style: Style, print: (line: string) => void) {
    this.#style = style;
    this.#print = print;
  }

  /** Takes events that are to be told; those that are lost together come in one turn of the process. */
  tell(event: PortalEvent): void {
    if (event.event === 'lease' && event.phase === 'retrying') {
      if (this.#lost.push(event) === 1) setImmediate(() => this.flush());
      return;
    }
    this.flush();
    this.#print(describeEvent(event, this.#style));
  }

  flush(): void {
    const lost = this.#lost;
    this.#lost = [];
    const keys = new Set(lost.map(keyOf));
    for (const key of keys)
      for (const line of this.#lines(lost.filter((each) => keyOf(each) === key))) this.#print(line);
  }

  #lines(leases: readonly Lease[]): string[] {
    if (leases.length <= FEW) return leases.map((lease) => describeEvent(lease, this.#style));
    const [{ relay, error }] = leases as [Lease];
    const { bold, yellow } = this.#style;
    const why = error ? `: ${describeError(error)}` : '';
    return [`${bold(relayName(relay))}: ${leases.length} services ${yellow('retrying')}${why}`];
  }
}

const keyOf = ({ relay, error }: Lease): string => `${relay} ${error?.code} ${error?.message}`;
