import { ownAddresses, type OwnAddresses } from '../net/own-addresses.js';
import { isLoopback } from '../net/udp.js';
import { delay } from '../lib/wait.js';
import type { ControlChannel } from './control.js';

/** After this machine's addresses have changed, the relay has this long to answer: less where ours is gone. */
const MOVED_CHECK_MS = 1_500;
const GONE_CHECK_MS = 1_000;
/** Where ours is still there, an answer may take so many times what the last one took. */
const SLOWER = 4;

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

  /**
   * Aborts once addresses have changed, but no sooner than in `ms`: what takes longer than one change after another
   * must end some time. The caller ends it.
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
    const isGone = local !== undefined && !addresses.has(local);
    // A slow network is not a lost one.
    const usualMs = (channel?.rttMs ?? 0) * SLOWER;
    await channel?.check(isGone ? GONE_CHECK_MS : Math.max(MOVED_CHECK_MS, usualMs));
  }
}

const ignore = (): void => undefined;
