import pRetry from 'p-retry';
import type { Identity } from '../../identity/identity.js';
import { asPortalError, type PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { delay } from '../../lib/wait.js';
import { LIMITS } from '../../protocol/limits.js';
import { openControl } from './connect.js';
import type { ControlChannel } from './control.js';
import type { NetworkWatch } from './network-watch.js';
import type { RelayEndpoint } from './relay-endpoint.js';
import { withJitter } from './retry.js';

/**
 * Pauses between attempts. They grow to full seconds only after a relay was unreachable for a while, and never exceed
 * ten seconds.
 */
const PAUSE = { minMs: 200, maxMs: 5_000, factor: 1.7 } as const;
const pauseAfter = (failures: number): number =>
  Math.min(PAUSE.maxMs, Math.round((1 + Math.random()) * PAUSE.minMs * PAUSE.factor ** failures));
/** After address changes have interrupted an attempt once, the next ones run at least this long, then longer. */
const MIN_ATTEMPT_MS = 500;

export interface ConnectorOptions {
  /** How to reach the relay. Called before each attempt, because its inputs (a CA file, a free port) may change. */
  readonly resolve: () => Promise<RelayEndpoint>;
  readonly identity: Identity;
  readonly instance: string;
  readonly version: string;
  readonly network: Pick<NetworkWatch, 'changed' | 'changedIn'>;
  /** Called after each failed attempt. */
  readonly onFailed: (failure: PortalError) => void;
  /** Resolves once another attempt is allowed. */
  readonly mayConnect: () => Promise<void>;
  /** Aborts when the session closes, and closes each channel. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

export interface Connected {
  readonly channel: ControlChannel;
  readonly endpoint: RelayEndpoint;
  /** Aborts when the session should reconnect over another path. */
  readonly moved: AbortSignal | undefined;
}

/** Opens channels to one relay. Owns the pauses between attempts, which end early when a new address may have another path. */
export class Connector {
  readonly #options: ConnectorOptions;
  /** When the next attempt starts (performance.now), while one is waited for. */
  #nextAt: number | undefined;

  constructor(options: ConnectorOptions) {
    this.#options = options;
  }

  /** Time until the next attempt. Undefined if none is waited for. */
  get nextInMs(): number | undefined {
    return this.#nextAt && Math.max(0, Math.round(this.#nextAt - performance.now()));
  }

  /** The pause before `connect` is called again. Ends immediately when this machine's addresses change. */
  async pause(ms: number): Promise<void> {
    const { signal, network } = this.#options;
    await this.#announced(ms, AbortSignal.any([signal, network.changed])).catch(() => undefined);
  }

  /**
   * Opens a channel, next to an existing one. An attempt restarts when addresses change, each time after a longer delay. So a
   * distant relay can also be reached while addresses change every second.
   */
  async connect(): Promise<Connected> {
    const { signal, network, mayConnect } = this.#options;
    for (let leastMs = 0; ; leastMs = Math.min(LIMITS.handshakeMs, Math.max(MIN_ATTEMPT_MS, leastMs * 2))) {
      const changed = network.changedIn(leastMs);
      try {
        return await this.#attempts(AbortSignal.any([signal, changed.signal]));
      } catch (error) {
        if (signal.aborted || !changed.signal.aborted) throw error;
        await mayConnect();
      } finally {
        changed.end();
      }
    }
  }

  #attempts(signal: AbortSignal): Promise<Connected> {
    const { onFailed, mayConnect, log } = this.#options;
    let isTunnelReady = true;
    const attempt = (): Promise<Connected> => this.#attempt(signal, (isReady) => (isTunnelReady = isReady));
    return pRetry(attempt, {
      // `onFailedAttempt` makes the pauses, because `status` shows when they end.
      minTimeout: 0,
      maxTimeout: 0,
      retries: Infinity,
      signal,
      // A pause that the relay requested replaces ours. While the tunnel is not ready, its own pauses are enough.
      shouldConsumeRetry: ({ error }) => isTunnelReady && asPortalError(error).retryAfterMs === undefined,
      onFailedAttempt: async ({ error, attemptNumber, retriesConsumed }) => {
        if (signal.aborted) return;
        const failure = asPortalError(error);
        log.info(
          { code: failure.code, reason: failure.message, attempt: attemptNumber },
          'cannot reach the relay',
        );
        onFailed(failure);
        await mayConnect();
        if (failure.retryAfterMs !== undefined)
          await this.#announced(withJitter(failure.retryAfterMs), signal);
        else if (isTunnelReady) await this.#announced(pauseAfter(retriesConsumed), signal);
      },
    });
  }

  async #attempt(signal: AbortSignal, tunnel: (isReady: boolean) => void): Promise<Connected> {
    const { resolve, identity, instance, version } = this.#options;
    tunnel(true);
    const endpoint = await resolve();
    if (endpoint.via?.ready) {
      tunnel(false);
      await endpoint.via.ready(signal);
      tunnel(true);
    }
    const moved = endpoint.via?.moved?.();
    const channel = await openControl({ endpoint, identity, instance, version, signal });
    closeWith(this.#options.signal, channel);
    return { channel, endpoint, moved };
  }

  /** Waits for the next attempt. `status` shows when it starts. */
  async #announced(ms: number, signal: AbortSignal): Promise<void> {
    this.#nextAt = performance.now() + ms;
    await delay(ms, signal).finally(() => (this.#nextAt = undefined));
  }
}

/** The pause after a session that was lost, when `unstable` sessions in a row did not last. */
export const pauseAfterSession = (unstable: number): number =>
  Math.random() * Math.min(PAUSE.maxMs, PAUSE.minMs * 2 ** unstable);

/** Closes `channel` with `signal`, even if no one has received it yet: pRetry drops results after an abort. */
function closeWith(signal: AbortSignal, channel: ControlChannel): void {
  const close = (): void => channel.close();
  if (signal.aborted) return close();
  signal.addEventListener('abort', close, { once: true });
  channel.once('closed', () => signal.removeEventListener('abort', close));
}
