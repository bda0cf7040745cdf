import type { Desired } from '../config/desired.js';
import { PortalError, asPortalError } from '../lib/errors.js';
import { silent } from '../lib/logger.js';
import { deferred, within } from '../lib/wait.js';
import type { Notice } from '../reconcile/notices.js';
import type { Runner } from '../reconcile/runner.js';
import { commandEnvironment, openAgent, type Agent } from './agent.js';
import type { CommonOptions, Events, RunningService, TimedEvent, WaitOptions } from './api.js';
import { closedError, EventHub } from './event-hub.js';
import { restartRequired } from './restart-required.js';
import { runningService } from './running-service.js';
import { failureOf, isReady, notReady } from './service-state.js';
import type { Surroundings } from './surroundings.js';

const READY_MS = 30_000;
const DRAIN_MS = 1_000;

export interface SessionOptions {
  readonly surroundings: Surroundings;
  readonly desired: Desired;
  /** Notices about files that were created before. */
  readonly made?: readonly Notice[];
  readonly frozen?: boolean;
  readonly run: CommonOptions;
}

/** An agent that a program runs: its services, events and end. */
export class Session {
  readonly #agent: Agent;
  readonly #hub: EventHub;
  readonly #services = new Map<string, RunningService>();
  /** Aborts when closing begins. */
  readonly #closing = new AbortController();
  /** Aborts after the last event. */
  readonly #ended: AbortController;
  /** Why the start failed and closed it. */
  #failure: unknown;
  #applied: TimedEvent<'applied'> | undefined;
  #desired: Desired;

  private constructor(agent: Agent, hub: EventHub, ended: AbortController, desired: Desired) {
    this.#agent = agent;
    this.#hub = hub;
    this.#ended = ended;
    this.#desired = desired;
    hub.events.on('applied', (event) => (this.#applied = event));
    // Addresses stay known after the end.
    hub.events.on('lease', ({ service }) => void this.#services.get(service)?.urls);
  }

  /** Starts an agent. Its first configuration opens in the background: see `ready`. */
  static async open({ surroundings, desired, made, frozen, run }: SessionOptions): Promise<Session> {
    const { signal, onEvent, onWarning } = run;
    const ended = new AbortController();
    const hub = new EventHub(ended.signal);
    if (onEvent) hub.events.on('*', onEvent);
    const agent = await openAgent({
      surroundings,
      desired,
      ...(made && { made }),
      ...(frozen !== undefined && { frozen }),
      // Requests stay in memory, and there is no page: the program asks for them.
      inspector: { port: 0 },
      environment: commandEnvironment(surroundings.env),
      warn: (message) => onWarning?.(message),
      emit: (event) => hub.emit(event),
      log: silent,
    });
    const session = new Session(agent, hub, ended, desired);
    const onAbort = (): void => void session.close();
    signal?.addEventListener('abort', onAbort, { once: true, signal: session.closing });
    try {
      await agent.begin();
      signal?.throwIfAborted();
    } catch (error) {
      await session.close({ drainMs: 0 });
      throw error;
    }
    session.#start();
    return session;
  }

  #start(): void {
    this.runner.apply(this.#desired).catch((error: unknown) => {
      // `ready` reports it.
      this.#failure = error;
      void this.close({ drainMs: 0, reason: asPortalError(error).code });
    });
  }

  get runner(): Runner {
    return this.#agent.runner;
  }

  get events(): Events {
    return this.#hub.events;
  }

  get caFile(): string | undefined {
    return this.#agent.caFile;
  }

  get desired(): Desired {
    return this.#desired;
  }

  /** Aborts when closing begins. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  get services(): Record<string, RunningService> {
    return Object.fromEntries(this.#desired.services.map(({ service }) => [service, this.service(service)]));
  }

  service(name: string): RunningService {
    const known = this.#services.get(name) ?? runningService(this, name);
    this.#services.set(name, known);
    return known;
  }

  /** Resolves once every service is ready. Rejects with the error of a service that no relay accepts. */
  async ready({ timeoutMs = READY_MS, signal }: WaitOptions = {}): Promise<void> {
    const done = deferred<void>();
    const look = (): void => {
      const failure = failureOf(this.runner, this.#desired);
      if (failure) done.reject(failure);
      else if (isReady(this.runner, this.#desired)) done.resolve();
    };
    const stop = this.events.on('*', look);
    try {
      look();
      const ending = signal ? AbortSignal.any([signal, this.closing]) : this.closing;
      await within(done.promise, timeoutMs, 'the start', ending);
    } catch (error) {
      if (this.#failure !== undefined) throw this.#failure;
      if (!(error instanceof PortalError) || error.code !== 'timeout') throw error;
      throw notReady(this.runner, timeoutMs);
    } finally {
      stop();
    }
  }

  /** Resolves once each change has its first outcome. */
  async apply(desired: Desired): Promise<TimedEvent<'applied'>> {
    if (this.closing.aborted) throw closedError();
    const refusal = restartRequired(this.#desired, desired);
    if (refusal) throw refusal;
    await this.runner.apply(this.adopt(desired));
    if (this.closing.aborted || !this.#applied) throw closedError();
    return this.#applied;
  }

  /** Notes a configuration that the caller applies. */
  adopt(desired: Desired): Desired {
    this.#desired = desired;
    return desired;
  }

  async close({ drainMs = DRAIN_MS, reason = 'closed' } = {}): Promise<void> {
    this.#closing.abort(closedError());
    await this.runner.stop({ reason, drainMs });
    this.#ended.abort(closedError());
  }
}
