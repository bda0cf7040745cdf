import { once } from 'node:events';
import pLimit from 'p-limit';
import pRetry from 'p-retry';
import type { Identity } from '../../identity/identity.js';
import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { delay, until } from '../../lib/wait.js';
import type { OwnAddresses } from '../../net/own-addresses.js';
import { LIMITS } from '../../protocol/limits.js';
import { openControl } from './connect.js';
import type { ControlChannel } from './control.js';
import { mayReport, Reporter, type AgentInfo } from './report.js';
import type { AgentLease } from '../lease/lease.js';
import { NetworkWatch } from './network-watch.js';
import { OpenSession } from './open-session.js';
import type { RelayEndpoint } from './relay-endpoint.js';
import { withJitter } from './retry.js';
import { SessionLeases } from './session-leases.js';
import { SessionTunnel } from './session-tunnel.js';
import { summaryOf } from './phase.js';
import type { RelayStatus } from '../status.js';

/**
 * Pauses between attempts. They grow to full seconds only after a relay was unreachable for a while, and never exceed
 * ten seconds.
 */
const RETRY = { minTimeout: 200, maxTimeout: 5_000, factor: 1.7 } as const;
const pauseAfter = (retries: number): number =>
  Math.min(RETRY.maxTimeout, Math.round((1 + Math.random()) * RETRY.minTimeout * RETRY.factor ** retries));
/** A session that lasted this long counts as stable, and resets the pauses. */
const STABLE_MS = 10_000;
/** After address changes have interrupted an attempt once, the next ones run at least this long, then longer. */
const MIN_ATTEMPT_MS = 500;
/** 500 services must not start 500 handshakes at once. */
const OPENING_AT_A_TIME = 24;
/** Timeout of the check for `status`. */
const CHECK_MS = 2_000;

export interface SessionOptions {
  /** How to reach the relay. Called before each attempt, because its inputs (a CA file, a free port) may change. */
  readonly resolve: () => Promise<RelayEndpoint>;
  readonly identity: Identity;
  readonly instance: string;
  readonly version: string;
  /** The data about this agent that its identity's owner sees, if the relay shows it. Default: no reports. */
  readonly about?: () => AgentInfo;
  /** Called when the session connects, is lost, or an attempt fails. */
  readonly onState?: (state: 'connected' | 'lost' | 'refused', error?: PortalError) => void;
  /** Called when datagrams fall back to a WebSocket, because UDP does not get through. */
  readonly onFallback?: () => void;
  /** This machine's addresses. */
  readonly network?: OwnAddresses;
  readonly log: Logger;
}

interface Connected {
  readonly channel: ControlChannel;
  readonly endpoint: RelayEndpoint;
  /** Aborts when the session should reconnect over another path. */
  readonly moved: AbortSignal | undefined;
}

/** The agent's session with one relay: connects, reconnects, and reopens its leases. */
export class RelaySession {
  /** Opens connections through this relay to the next of a chain. */
  readonly tunnel = new SessionTunnel();
  readonly #options: SessionOptions;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #leases = new SessionLeases();
  readonly #opening = pLimit(OPENING_AT_A_TIME);
  #open: OpenSession | undefined;
  #reporter: Reporter | undefined;
  #state: RelayStatus['state'] = 'connecting';
  #since = new Date();
  #error: PortalError | undefined;
  /** When the next attempt starts (performance.now), while one is waited for. */
  #nextAt: number | undefined;
  /** Consecutive sessions that did not last. */
  #unstable = 0;
  readonly #network: NetworkWatch;
  readonly #done: Promise<void>;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#network = new NetworkWatch(() => this.#channel, options.network);
    this.#done = this.#run();
  }

  /** Opens `lease` here, now or once the relay is connected. */
  add(lease: AgentLease): void {
    this.#leases.add(lease);
    this.changed();
    if (this.#open) lease.attach(this.#open, this.#opening);
  }

  remove(lease: AgentLease): void {
    this.#leases.delete(lease);
    this.changed();
  }

  /** The report to the relay may have changed. */
  changed(): void {
    this.#reporter?.changed();
  }

  /** Checks whether the relay responds. If it does not, the session ends and reconnects. */
  async check(): Promise<void> {
    await this.#channel?.check(CHECK_MS);
  }

  /** Whether the relay responds within `ms`, if there is a session. Has no other effect. */
  async isResponding(ms: number): Promise<boolean> {
    return (await this.#channel?.isResponding(ms)) ?? false;
  }

  status(): Omit<RelayStatus, 'relay'> {
    const rttMs = this.#channel?.rttMs;
    const { relayKey, capabilities, carriers } = this.#channel?.welcome ?? {};
    return {
      state: this.#state,
      since: this.#since.toISOString(),
      ...(rttMs === undefined ? {} : { rttMs: Math.round(rttMs * 10) / 10 }),
      ...(relayKey !== undefined && { address: relayKey }),
      ...(capabilities && { capabilities, carriers }),
      ...this.#datagrams(),
      ...(this.#error && { error: summaryOf(this.#error) }),
      ...(this.#nextAt !== undefined && {
        nextInMs: Math.max(0, Math.round(this.#nextAt - performance.now())),
      }),
    };
  }

  /** The state of datagrams, once there were any. */
  #datagrams(): Pick<RelayStatus, 'datagrams'> {
    const { carrier, missingPackets, dropped } = this.#open?.datagrams.status() ?? {};
    if (!carrier && Object.keys(dropped ?? {}).length === 0) return {};
    return {
      datagrams: {
        ...(carrier && { carrier }),
        ...(missingPackets && { missingPackets }),
        dropped: dropped ?? {},
      },
    };
  }

  /** Ends the session. Close its leases first. */
  async close(): Promise<void> {
    const reason = new PortalError('aborted', 'the session was closed');
    this.#network.close();
    this.#stop.abort(reason);
    this.tunnel.close(reason);
    await this.#done;
  }

  get #channel(): ControlChannel | undefined {
    return this.#open?.channel;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const pauseMs = await this.#hold(await this.#connect());
        await this.#waitIfDisconnected();
        if (!signal.aborted) await this.#pause(pauseMs);
      } catch (error) {
        if (!signal.aborted) this.#log.error({ err: error }, 'the session failed');
      }
    }
  }

  /** The pause before another attempt. Ends immediately when this machine's addresses change. */
  async #pause(ms: number): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, this.#network.changed]);
    await this.#announced(ms, signal).catch(() => undefined);
  }

  /** Waits for the next attempt. `status` shows when it starts. */
  async #announced(ms: number, signal: AbortSignal): Promise<void> {
    this.#nextAt = performance.now() + ms;
    await delay(ms, signal).finally(() => (this.#nextAt = undefined));
  }

  /**
   * Opens a channel, next to an existing one. An attempt restarts when addresses change, each time after a longer delay. So a
   * distant relay can also be reached while addresses change every second.
   */
  async #connect(): Promise<Connected> {
    for (let leastMs = 0; ; leastMs = Math.min(LIMITS.handshakeMs, Math.max(MIN_ATTEMPT_MS, leastMs * 2))) {
      const changed = this.#network.changedIn(leastMs);
      try {
        return await this.#attempts(AbortSignal.any([this.#stop.signal, changed.signal]));
      } catch (error) {
        if (this.#stop.signal.aborted || !changed.signal.aborted) throw error;
        await this.#waitIfDisconnected();
      } finally {
        changed.end();
      }
    }
  }

  #attempts(signal: AbortSignal): Promise<Connected> {
    const { resolve, identity, instance, version } = this.#options;
    let isConnecting = false;
    const attempt = async (): Promise<Connected> => {
      const endpoint = await resolve();
      isConnecting = false;
      await endpoint.via?.ready?.(signal);
      isConnecting = true;
      const moved = endpoint.via?.moved?.();
      const channel = await openControl({ endpoint, identity, instance, version, signal });
      closeWith(this.#stop.signal, channel);
      return { channel, endpoint, moved };
    };
    return pRetry(attempt, {
      // `onFailedAttempt` makes the pauses, because `status` shows when they end.
      minTimeout: 0,
      maxTimeout: 0,
      retries: Infinity,
      signal,
      // A pause that the relay requested replaces ours. While the tunnel is not ready, its own pauses are enough.
      shouldConsumeRetry: ({ error }) => isConnecting && asPortalError(error).retryAfterMs === undefined,
      onFailedAttempt: async ({ error, attemptNumber, retriesConsumed }) => {
        if (signal.aborted) return;
        const failure = asPortalError(error);
        this.#log.info(
          { code: failure.code, reason: failure.message, attempt: attemptNumber },
          'cannot reach the relay',
        );
        if (!this.#channel) this.#lost(failure, 'refused');
        await this.#waitIfDisconnected();
        if (failure.retryAfterMs !== undefined)
          await this.#announced(withJitter(failure.retryAfterMs), signal);
        else if (isConnecting) await this.#announced(pauseAfter(retriesConsumed), signal);
      },
    });
  }

  /** An agent that its owner disconnected does not return to this relay until it restarts. */
  async #waitIfDisconnected(): Promise<void> {
    const { signal } = this.#stop;
    if (this.#error?.code === 'disconnected' && !signal.aborted) await once(signal, 'abort');
  }

  /**
   * Uses a channel instead of the previous one, until it ends or is replaced. Resolves with the pause before the next
   * attempt in milliseconds.
   */
  #hold({ channel, endpoint, moved }: Connected): Promise<number> {
    const openedAt = performance.now();
    const former = this.#open;
    const open = new OpenSession({
      channel,
      endpoint,
      leaseById: (id) => this.#leases.byId(id),
      onFallback: this.#options.onFallback,
      log: this.#log,
    });
    this.#open = open;
    this.#leases.forgetIds();
    this.#set('connected', undefined);
    this.#log.info({ session: channel.welcome.session }, 'session open');
    channel.on('revoked', ({ lease, reason }) => {
      // The relay handed it to the channel that replaced this one.
      if (this.#open === open) this.#leases.byId(lease)?.revoked(reason);
    });
    channel.on('unserved', ({ lease, reason, count }) => this.#leases.byId(lease)?.unserved(reason, count));
    channel.on('replicas', ({ lease, use, others }) => this.#leases.byId(lease)?.sharesWith({ use, others }));
    if (former) void this.#retire(former);
    this.#reportOn(channel);
    for (const lease of this.#leases) lease.attach(open, this.#opening, { moves: former !== undefined });
    this.tunnel.opened(open.tunnel, { moves: former !== undefined });
    if (!former) this.#options.onState?.('connected');
    return new Promise((resolve) => {
      const move = (): void => resolve(0);
      channel.once('drain', ({ reason, reconnectAfterMs }) => {
        this.#log.info({ reason }, 'moving to another session');
        resolve(reconnectAfterMs);
      });
      const end = (error: PortalError, reconnectAfterMs?: number): void => {
        moved?.removeEventListener('abort', move);
        if (this.#open !== open) return;
        this.#reporter?.close();
        this.#open = undefined;
        this.tunnel.ended(error);
        if (!this.#stop.signal.aborted) {
          this.#log.info({ code: error.code, reason: error.message }, 'session lost');
          this.#lost(error, 'lost');
        }
        this.#unstable = performance.now() - openedAt < STABLE_MS ? this.#unstable + 1 : 0;
        const jitterMs = Math.random() * Math.min(RETRY.maxTimeout, RETRY.minTimeout * 2 ** this.#unstable);
        resolve(reconnectAfterMs ?? jitterMs);
      };
      channel.once('closed', end);
      moved?.addEventListener('abort', move, { once: true });
      if (moved?.aborted) move();
      // It may have ended during the handover.
      if (channel.closed) end(new PortalError('relay_unreachable', 'the control channel closed immediately'));
    });
  }

  #reportOn(channel: ControlChannel): void {
    const { about } = this.#options;
    this.#reporter?.close();
    this.#reporter =
      about && mayReport(channel) ? new Reporter(channel, about, () => this.#leases, this.#log) : undefined;
  }

  /** Ends a replaced channel once it is no longer needed. Has a timeout. */
  async #retire(former: OpenSession): Promise<void> {
    const { channel } = former;
    // The relay reports each lease that moved to the other channel, after all earlier visitors of the lease.
    const held = new Set([...this.#leases].flatMap(({ id }) => id ?? []));
    channel.on('revoked', ({ lease }) => held.delete(lease));
    const isDone = (): boolean =>
      this.#stop.signal.aborted || channel.closed || (held.size === 0 && former.isIdle);
    await until(isDone, LIMITS.requestMs);
    if (this.#stop.signal.aborted) channel.close();
    else channel.retire();
  }

  #lost(error: PortalError, how: 'lost' | 'refused'): void {
    this.#set('retrying', error);
    this.tunnel.failed(error);
    for (const lease of this.#leases) lease.detach(error);
    this.#options.onState?.(how, error);
  }

  #set(state: RelayStatus['state'], error: PortalError | undefined): void {
    if (state !== this.#state) this.#since = new Date();
    this.#state = state;
    this.#error = error;
  }
}

/** Closes `channel` with `signal`, even if no one has received it yet: pRetry drops results after an abort. */
function closeWith(signal: AbortSignal, channel: ControlChannel): void {
  const close = (): void => channel.close();
  if (signal.aborted) return close();
  signal.addEventListener('abort', close, { once: true });
  channel.once('closed', () => signal.removeEventListener('abort', close));
}
