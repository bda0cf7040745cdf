import { once } from 'node:events';
import pLimit from 'p-limit';
import { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { until } from '../../lib/wait.js';
import type { OwnAddresses } from '../../net/own-addresses.js';
import { LIMITS } from '../../protocol/limits.js';
import { Connector, pauseAfterSession, type Connected, type ConnectorOptions } from './connector.js';
import type { ControlChannel } from './control.js';
import { mayReport, Reporter, type AgentInfo } from './report.js';
import type { AgentLease } from '../lease/lease.js';
import { NetworkWatch } from './network-watch.js';
import { OpenSession } from './open-session.js';
import { SessionLeases } from './session-leases.js';
import { SessionTunnel } from './session-tunnel.js';
import { summaryOf } from './phase.js';
import type { RelayStatus } from '../status.js';

/** A session that lasted this long counts as stable, and resets the pauses. */
const STABLE_MS = 10_000;
/** 500 services must not start 500 handshakes at once. */
const OPENING_AT_A_TIME = 24;
/** Timeout of the check for `status`. */
const CHECK_MS = 2_000;

export interface SessionOptions extends Pick<
  ConnectorOptions,
  'resolve' | 'identity' | 'instance' | 'version' | 'log'
> {
  /** The data about this agent that its identity's owner sees, if the relay shows it. Default: no reports. */
  readonly about?: () => AgentInfo;
  /** Called when the session connects, is lost, or an attempt fails. */
  readonly onState?: (state: 'connected' | 'lost' | 'refused', error?: PortalError) => void;
  /** Called when datagrams fall back to a WebSocket, because UDP does not get through. */
  readonly onFallback?: () => void;
  /** This machine's addresses. */
  readonly network?: OwnAddresses;
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
  /** Consecutive sessions that did not last. */
  #unstable = 0;
  readonly #network: NetworkWatch;
  readonly #connector: Connector;
  readonly #done: Promise<void>;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#network = new NetworkWatch(() => this.#channel, options.network);
    this.#connector = new Connector({
      ...options,
      network: this.#network,
      onFailed: (failure) => {
        if (!this.#channel) this.#lost(failure, 'refused');
      },
      mayConnect: () => this.#waitIfDisconnected(),
      signal: this.#stop.signal,
    });
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
    const { nextInMs } = this.#connector;
    const { relayKey, capabilities, carriers } = this.#channel?.welcome ?? {};
    return {
      state: this.#state,
      since: this.#since.toISOString(),
      ...(rttMs === undefined ? {} : { rttMs: Math.round(rttMs * 10) / 10 }),
      ...(relayKey !== undefined && { address: relayKey }),
      ...(capabilities && { capabilities, carriers }),
      ...this.#datagrams(),
      ...(this.#error && { error: summaryOf(this.#error) }),
      ...(nextInMs !== undefined && { nextInMs }),
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
        const pauseMs = await this.#hold(await this.#connector.connect());
        await this.#waitIfDisconnected();
        if (!signal.aborted) await this.#connector.pause(pauseMs);
      } catch (error) {
        if (!signal.aborted) this.#log.error({ err: error }, 'the session failed');
      }
    }
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
        resolve(reconnectAfterMs ?? pauseAfterSession(this.#unstable));
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
