import type { Desired } from '../config/desired.js';
import { asPortalError, PortalError } from '../lib/errors.js';
import { silent, type Logger } from '../lib/logger.js';
import { Scope } from '../lib/scope.js';
import { deferred, within } from '../lib/wait.js';
import type { Notice } from '../reconcile/notices.js';
import type { Runner } from '../reconcile/runner.js';
import { commandEnvironment, openAgent, type Agent, type AgentOptions } from './agent.js';
import type { CommonOptions, Events, TimedEvent, WaitOptions } from './api.js';
import { closedError, EventHub } from './event-hub.js';
import { restartRequired } from './restart-required.js';
import { failureOf, isReady, notReady } from './service-state.js';
import type { Surroundings } from './surroundings.js';

const READY_MS = 30_000;
const DRAIN_MS = 1_000;

export interface SessionOptions {
  readonly surroundings: Pick<Surroundings, 'env' | 'paths'>;
  readonly desired: Desired;
  /** Notices about files that were created before. */
  readonly made?: readonly Notice[];
  readonly frozen?: boolean;
  /** Applies each save of the configuration until `closing` aborts. */
  readonly follow?: ((session: Session) => Promise<void>) | undefined;
  readonly run: Pick<CommonOptions, 'signal' | 'onEvent' | 'onWarning'>;
  readonly host?: Host;
}

/** What only the command line has around an agent. */
interface Host extends Partial<Pick<AgentOptions, 'accessLog' | 'inspector' | 'log' | 'portHolder'>> {
  /** Called before the agent reports its start. What it adds to `scope` closes after the agent. */
  readonly prepare?: (session: Session, scope: Scope) => Promise<{ readonly metrics?: string }>;
  /** How to close when `signal` has aborted. Default: like `close()`. */
  readonly onAbort?: (reason: unknown, session: Session) => CloseOptions;
}

interface CloseOptions {
  /** How long visitors may finish, in milliseconds. */
  readonly drainMs?: number;
  /** For the event `stopped`. */
  readonly reason?: string;
}

/** An agent from its start to its end: the one way to run it, for `up`, `expose`, `portal up` and `portal expose`. */
export class Session {
  readonly #agent: Agent;
  readonly #hub: EventHub;
  /** Closes the agent, and then what its host has prepared. */
  readonly #scope = new Scope();
  /** Aborts when closing begins. */
  readonly #closing = new AbortController();
  /** Aborts after the last event. */
  readonly #ended: AbortController;
  readonly log: Logger;
  #end: Required<CloseOptions> = { reason: 'closed', drainMs: DRAIN_MS };
  #closed: Promise<void> | undefined;
  /** Why the start failed and closed it. */
  #failure: unknown;
  #applied: TimedEvent<'applied'> | undefined;
  #isStopReported = false;
  #desired: Desired;

  private constructor(agent: Agent, hub: EventHub, ended: AbortController, desired: Desired, log: Logger) {
    this.#agent = agent;
    this.#hub = hub;
    this.#ended = ended;
    this.#desired = desired;
    this.log = log;
    hub.events.on('applied', (event) => (this.#applied = event));
    hub.events.on('stopped', () => (this.#isStopReported = true));
  }

  /**
   * Starts an agent. Its first configuration opens in the background: see `ready` and `finished`. If `signal` has aborted, the
   * agent closes.
   */
  static async open(options: SessionOptions): Promise<Session> {
    const { surroundings, desired, made = [], frozen = false, run, host = {} } = options;
    const { accessLog, inspector, log = silent, portHolder } = host;
    const ended = new AbortController();
    const hub = new EventHub(ended.signal);
    if (run.onEvent) hub.events.on('*', run.onEvent);
    const agent = await openAgent({
      surroundings,
      desired,
      made,
      frozen,
      // For a program, requests stay in memory, and there is no page: the program asks for them.
      inspector: inspector ?? { port: 0 },
      environment: commandEnvironment(surroundings.env),
      ...(accessLog && { accessLog }),
      ...(portHolder && { portHolder }),
      warn: (message) => run.onWarning?.(message),
      emit: (event) => hub.emit(event),
      log,
    });
    const session = new Session(agent, hub, ended, desired, log);
    try {
      await session.#begin(options);
    } catch (error) {
      await session.close({ drainMs: 0 });
      throw error;
    }
    return session;
  }

  async #begin({ follow, run: { signal }, host }: SessionOptions): Promise<void> {
    await this.#agent.begin(await host?.prepare?.(this, this.#scope));
    this.#scope.defer(() => this.runner.stop(this.#end));
    const onAbort = (): void => void this.close(host?.onAbort?.(signal!.reason, this)).catch(() => undefined);
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true, signal: this.closing });
    this.runner.apply(this.#desired).catch((error: unknown) => {
      // `ready` and `finished` report it.
      this.#failure = error;
      this.close({ drainMs: 0, reason: asPortalError(error).code }).catch(() => undefined);
    });
    await follow?.(this);
  }

  get runner(): Runner {
    return this.#agent.runner;
  }

  /** Address of its identity. */
  get address(): string {
    return this.#agent.identity.address;
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

  /** Why it cannot change to `desired` while it runs; undefined if it can. */
  refusal(desired: Desired): PortalError | undefined {
    return restartRequired(this.#desired, desired);
  }

  /** Changes to a configuration without a refusal. Resolves once each change has its first outcome. */
  async change(desired: Desired): Promise<void> {
    this.#desired = desired;
    await this.runner.apply(desired);
  }

  /** Like `change`, for a program: reports the outcome, and rejects with the refusal. */
  async apply(desired: Desired): Promise<TimedEvent<'applied'>> {
    if (this.closing.aborted) throw closedError();
    const refusal = this.refusal(desired);
    if (refusal) throw refusal;
    await this.change(desired);
    if (this.closing.aborted || !this.#applied) throw closedError();
    return this.#applied;
  }

  /** Resolves once everything is closed, whatever closed it. Rejects if the first configuration could not start. */
  async finished(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#ended.signal.aborted) resolve();
      else this.#ended.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await this.#closed;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Drains visitors and closes everything. The first call decides how; all wait for the same end. */
  close(how: CloseOptions = {}): Promise<void> {
    this.#closed ??= this.#close(how);
    return this.#closed;
  }

  async #close(how: CloseOptions): Promise<void> {
    this.#end = { ...this.#end, ...how };
    this.#closing.abort(closedError());
    try {
      await this.#scope.close();
    } finally {
      this.#ended.abort(closedError());
    }
  }

  /** Ends the programs of the services now and reports the end, because the process exits. */
  kill(reason: string): void {
    this.runner.kill();
    if (!this.#isStopReported) this.#hub.emit({ event: 'stopped', reason });
  }
}
