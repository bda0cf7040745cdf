import pRetry from 'p-retry';
import type { Logger } from '../../lib/logger.js';
import { REPLICAS_CAPABILITY, type FromAgent } from '../../protocol/messages.js';
import type { ControlChannel } from '../session/control.js';
import { RETRY } from '../session/retry.js';
import type { ServiceSpec } from '../spec.js';
import type { LeaseStatus, ReplicasStatus } from '../status.js';

/** What an agent tells relays of its replica. */
type ReplicaState = Omit<FromAgent<'lease.replica'>, 'type' | 'id' | 'lease'>;

/** A lease at this moment. */
export interface LeaseNow {
  readonly spec: ServiceSpec;
  /** The relay's id of the lease, while it is open. */
  readonly id: string | undefined;
  /** Undefined while the session is lost. */
  readonly channel: ControlChannel | undefined;
  readonly log: Logger;
}

/** How long to wait while a CA validates the hostname at another replica, and the pause between requests. */
const VALIDATION_MS = 60_000;
const VALIDATION_PAUSE_MS = 2_000;

/**
 * Owns what this agent and a relay tell each other if several agents serve one name. A lease without `replicas` tells the
 * relay nothing.
 */
export class Replica {
  readonly #lease: () => LeaseNow;
  /** Whether all local services respond, as far as known. */
  #isTargetUp = true;
  /** Whether the lease has its certificate. */
  #isPrepared = false;
  /** As the relay said last. */
  #use: ReplicasStatus | undefined;

  constructor(lease: () => LeaseNow) {
    this.#lease = lease;
  }

  /** Whether visitors should come to this replica. */
  get isHealthy(): boolean {
    return this.#isPrepared && this.#isTargetUp;
  }

  /** The lease can serve visitors from now on. */
  prepared(): void {
    this.#change(() => (this.#isPrepared = true));
  }

  /** Whether the local services respond. */
  set targetUp(isUp: boolean) {
    this.#change(() => (this.#isTargetUp = isUp));
  }

  /** The relay told which agents serve the name. */
  sharesWith(use: ReplicasStatus): void {
    this.#use = use;
  }

  /** A new session begins, and its relay has not told yet which agents serve the name. */
  forget(): void {
    this.#use = undefined;
  }

  /** Which agents serve the name, for a lease that is ready. */
  status(): Pick<LeaseStatus, 'replicas'> {
    return this.#use && this.#lease().spec.replicas ? { replicas: this.#use } : {};
  }

  /**
   * Tells the relay whether a CA validates the hostname here. Waits until the relay agrees, for at most a minute. Rejects when
   * `signal` aborts.
   */
  async validates(isValidating: boolean, signal: AbortSignal): Promise<void> {
    const { channel, spec } = this.#lease();
    if (!channel || !spec.replicas) return;
    await pRetry(() => this.#tell(channel, { validating: isValidating }), {
      ...RETRY,
      maxTimeout: VALIDATION_PAUSE_MS,
      maxRetryTime: VALIDATION_MS,
      signal,
    });
  }

  /** Makes `visit` while the relay sends the agent's own visits to this replica. */
  async whileProbing<T>(channel: ControlChannel, visit: () => Promise<T>): Promise<T> {
    await this.#tell(channel, { probing: true });
    try {
      return await visit();
    } finally {
      await this.#tell(channel, { probing: false }).catch(() => undefined);
    }
  }

  /** Visitors go to other replicas while this one cannot serve them. */
  #change(change: () => void): void {
    const before = this.isHealthy;
    change();
    const { channel, log } = this.#lease();
    if (!channel || this.isHealthy === before) return;
    this.#tell(channel, { healthy: this.isHealthy }).catch((error: unknown) => {
      log.debug({ err: error }, 'could not report the health of the replica');
    });
  }

  async #tell(channel: ControlChannel, state: ReplicaState): Promise<void> {
    const { id, spec } = this.#lease();
    if (id === undefined || !offersReplicas(channel) || !spec.replicas) return;
    await channel.request({ type: 'lease.replica', lease: id, ...state });
  }
}

/** Whether the relay lets several agents serve one name. */
export function offersReplicas({ welcome }: Pick<ControlChannel, 'welcome'>): boolean {
  return welcome.capabilities.includes(REPLICAS_CAPABILITY);
}
