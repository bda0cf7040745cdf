import { ownAddresses, type OwnAddresses } from '../net/own-addresses.js';
import { isLoopback } from '../net/udp.js';
import type { ControlChannel } from './control.js';

/** After this machine's addresses have changed, the relay has this long to answer: less where ours is gone. */
const MOVED_CHECK_MS = 1_500;
const GONE_CHECK_MS = 1_000;

/**
 * What a change of this machine's addresses means for a session. Nothing tells of a connection whose address is gone but
 * its silence, so the relay is asked at once; what is under way to the relay, or waits to be, begins anew.
 */
export class NetworkWatch {
  readonly #channel: () => ControlChannel | undefined;
  readonly #end: () => void;
  #retryNow = new AbortController();

  constructor(channel: () => ControlChannel | undefined, network: OwnAddresses = ownAddresses) {
    this.#channel = channel;
    this.#end = network.watch((addresses) => void this.#changed(addresses));
  }

  /** Aborts with the next change. */
  get changed(): AbortSignal {
    return this.#retryNow.signal;
  }

  close(): void {
    this.#end();
  }

  async #changed(addresses: ReadonlySet<string>): Promise<void> {
    const before = this.#retryNow;
    this.#retryNow = new AbortController();
    before.abort();
    const channel = this.#channel();
    const local = channel?.localAddress;
    if (local !== undefined && isLoopback(local)) return;
    const isGone = local !== undefined && !addresses.has(local);
    await channel?.check(isGone ? GONE_CHECK_MS : MOVED_CHECK_MS);
  }
}
