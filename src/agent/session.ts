import pLimit from 'p-limit';
import pRetry from 'p-retry';
import type { Identity } from '../identity/identity.js';
import { asPortalError, PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { delay } from '../lib/wait.js';
import { openControl } from './connect.js';
import type { ControlChannel } from './control.js';
import { DataConnections } from './connections.js';
import { AgentDatagrams } from './datagrams/datagrams.js';
import type { AgentLease } from './lease.js';
import type { RelayEndpoint } from './relay-way.js';
import { comeBackMs } from './retry.js';
import type { RelayStatus } from './status.js';

/** Pauses between attempts: full seconds only once a relay has been away for a while, never above ten. */
const RETRY = { minTimeout: 200, maxTimeout: 5_000, factor: 1.7, randomize: true } as const;
/** A session that held this long counts as sound: the pauses begin small again. */
const SOUND_MS = 10_000;
/** 500 services must not be 500 handshakes at once. */
const OPENING_AT_A_TIME = 24;
/** `status` waits no longer than this for a relay to show that it is there. */
const CHECK_MS = 2_000;

export interface SessionOptions {
  /** How to reach the relay: asked before each attempt, so that what it rests on (a CA file, a free port) may come right meanwhile. */
  readonly resolve: () => Promise<RelayEndpoint>;
  readonly identity: Identity;
  readonly instance: string;
  readonly version: string;
  readonly log: Logger;
}

/** The agent's tie to one relay: connects, comes back when it is lost, and carries its leases over. */
export class RelaySession {
  readonly #options: SessionOptions;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #leases = new Set<AgentLease>();
  readonly #opening = pLimit(OPENING_AT_A_TIME);
  #channel: ControlChannel | undefined;
  #state: RelayStatus['state'] = 'connecting';
  #since = new Date();
  #error: PortalError | undefined;
  /** Sessions in a row that did not hold. */
  #unsound = 0;
  readonly #done: Promise<void>;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#done = this.#run();
  }

  /** Opens `lease` here, now or as soon as the relay is reached. */
  add(lease: AgentLease): void {
    this.#leases.add(lease);
    if (this.#channel) lease.attach(this.#channel, this.#opening);
  }

  remove(lease: AgentLease): void {
    this.#leases.delete(lease);
  }

  /** Asks the relay whether it is there; one that is not is given up at once, and coming back begins. */
  async check(): Promise<void> {
    await this.#channel?.check(CHECK_MS);
  }

  status(): Omit<RelayStatus, 'relay'> {
    const rttMs = this.#channel?.rttMs;
    return {
      state: this.#state,
      since: this.#since.toISOString(),
      ...(rttMs === undefined ? {} : { rttMs: Math.round(rttMs * 10) / 10 }),
      ...this.#datagrams(),
      ...(this.#error && { error: { code: this.#error.code, message: this.#error.message } }),
    };
  }

  /** What became of datagrams, once there were any to carry. */
  #datagrams(): Pick<RelayStatus, 'datagrams'> {
    const { carrier, missingPackets, dropped } = this.#channel?.datagrams?.status() ?? {};
    if (!carrier && Object.keys(dropped ?? {}).length === 0) return {};
    return {
      datagrams: {
        ...(carrier && { carrier }),
        ...(missingPackets && { missingPackets }),
        dropped: dropped ?? {},
      },
    };
  }

  /** Ends the session; its leases must have been closed before. */
  async close(): Promise<void> {
    this.#stop.abort(new PortalError('aborted', 'the session was closed'));
    this.#channel?.close();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const { channel, endpoint } = await this.#connect();
        const pauseMs = await this.#hold(channel, endpoint);
        if (!signal.aborted) await delay(pauseMs, signal);
      } catch (error) {
        if (!signal.aborted) this.#log.error({ err: error }, 'the session stumbled');
      }
    }
  }

  #connect(): Promise<{ channel: ControlChannel; endpoint: RelayEndpoint }> {
    const { resolve, identity, instance, version } = this.#options;
    const { signal } = this.#stop;
    const attempt = async (): Promise<{ channel: ControlChannel; endpoint: RelayEndpoint }> => {
      const endpoint = await resolve();
      return { channel: await openControl({ endpoint, identity, instance, version, signal }), endpoint };
    };
    return pRetry(attempt, {
      ...RETRY,
      retries: Infinity,
      signal,
      // Whoever was told when to come back waits that long, and not the pause of ours on top.
      shouldConsumeRetry: ({ error }) => asPortalError(error).retryAfterMs === undefined,
      onFailedAttempt: async ({ error, attemptNumber }) => {
        if (signal.aborted) return;
        const failure = asPortalError(error);
        this.#log.info(
          { code: failure.code, reason: failure.message, attempt: attemptNumber },
          'the relay was not reached',
        );
        this.#lost(failure);
        if (failure.retryAfterMs !== undefined) await delay(comeBackMs(failure.retryAfterMs), signal);
      },
    });
  }

  /** Works with `channel` until it ends; resolves with the pause before the next attempt, in milliseconds. */
  #hold(channel: ControlChannel, endpoint: RelayEndpoint): Promise<number> {
    const openedAt = Date.now();
    this.#channel = channel;
    this.#set('connected', undefined);
    this.#log.info({ session: channel.welcome.session }, 'session open');
    channel.datagrams = new AgentDatagrams(channel, endpoint, this.#log);
    const connections = new DataConnections(channel, endpoint, this.#log, (id) => this.#leaseById(id));
    channel.on('revoked', ({ lease, reason }) => this.#leaseById(lease)?.revoked(reason));
    for (const lease of this.#leases) lease.attach(channel, this.#opening);
    return new Promise((resolve) => {
      const end = (error: PortalError, reconnectAfterMs?: number): void => {
        connections.close();
        channel.datagrams?.close();
        this.#channel = undefined;
        if (!this.#stop.signal.aborted) {
          this.#log.info({ code: error.code, reason: error.message }, 'session lost');
          this.#lost(error);
        }
        this.#unsound = Date.now() - openedAt < SOUND_MS ? this.#unsound + 1 : 0;
        const jitterMs = Math.random() * Math.min(RETRY.maxTimeout, RETRY.minTimeout * 2 ** this.#unsound);
        resolve(reconnectAfterMs ?? jitterMs);
      };
      channel.once('closed', end);
      // It may have ended while it was handed over.
      if (channel.closed) end(new PortalError('relay_unreachable', 'the control channel was closed at once'));
    });
  }

  #lost(error: PortalError): void {
    this.#set('retrying', error);
    for (const lease of this.#leases) lease.detach(error);
  }

  #set(state: RelayStatus['state'], error: PortalError | undefined): void {
    if (state !== this.#state) this.#since = new Date();
    this.#state = state;
    this.#error = error;
  }

  #leaseById(id: string): AgentLease | undefined {
    for (const lease of this.#leases) if (lease.id === id) return lease;
    return undefined;
  }
}
