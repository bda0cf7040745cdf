import { ownAddresses, type OwnAddresses } from '../../net/own-addresses.js';
import { isLoopback } from '../../net/datagrams/udp.js';
import { delay } from '../../lib/wait.js';
import type { ControlChannel } from './control.js';

/**
 * Timeout of the relay's response after this machine's addresses have changed. Shorter if the address of the session
 * was removed.
 */
const MOVED_CHECK_MS = 1_500;
const GONE_CHECK_MS = 1_000;
/** If its own address still exists, a response may take this many times its last round-trip time. */
const SLOWER = 4;

/**
 * Reacts to changes of this machine's addresses. A connection whose address was removed only goes silent, so the relay is
 * checked immediately. Pauses and attempts in progress restart.
 */
export class NetworkWatch {
  readonly #channel: () => ControlChannel | undefined;
  readonly #end: () => void;
  #retryNow = new AbortController();

  constructor(channel: () => ControlChannel | undefined, network: OwnAddresses = ownAddresses) {
    this.#channel = channel;
    this.#end = network.watch((addresses) => void this.#changed(addresses));
  }

  /** Aborts at the next change. */
  get changed(): AbortSignal {
    return this.#retryNow.signal;
  }

  /**
   * Aborts on a change of addresses, but not before `ms` have passed: otherwise an attempt that takes longer than the
   * time between changes would never end. The caller must call `end`.
   */
  changedIn(ms: number): { readonly signal: AbortSignal; readonly end: () => void } {
    const [{ changed }, begin, over] = [this, new AbortController(), new AbortController()];
    const early = delay(ms, over.signal);
    const abort = (): void => void early.then(() => begin.abort(), ignore);
    if (changed.aborted) abort();
    else changed.addEventListener('abort', abort, { once: true });
    early.catch(ignore);
    const end = (): void => {
      changed.removeEventListener('abort', abort);
      over.abort();
    };
    return { signal: begin.signal, end };
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
    const isRemoved = local !== undefined && !addresses.has(local);
    // A slow network must not count as lost.
    const usualMs = (channel?.rttMs ?? 0) * SLOWER;
    await channel?.check(isRemoved ? GONE_CHECK_MS : Math.max(MOVED_CHECK_MS, usualMs));
  }
}

const ignore = (): void => undefined;
