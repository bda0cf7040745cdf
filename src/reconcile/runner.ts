import type { Recorders } from '../agent/inspect/recorder.js';
import type { AgentLease } from '../agent/lease/lease.js';
import type { AgentInfo } from '../agent/session/report.js';
import type { HeldCounts } from '../agent/status.js';
import type { Desired } from '../config/desired.js';
import type { Problem } from '../config/text/problem.js';
import { within } from '../lib/wait.js';
import { isSettled } from './active.js';
import { isFinal } from './announce.js';
import type { Survey } from './candidates/survey.js';
import type { AgentStatus, ProblemSummary, Readiness, UnplacedStatus } from './events.js';
import type { RunnerOptions } from './options.js';
import { RunnerParts } from './parts.js';
import { Passes } from './passes.js';
import { placements, plan, type Action } from './plan.js';
import { RunState } from './run-state.js';
import type { Sharing } from './local/sharing.js';

export type { EmbeddedRelay, EmbeddedSpec } from './relays/embedded.js';
export type { RunnerOptions } from './options.js';

/** A pass reports after this time, even if a relay has not responded yet. */
const SETTLE_MS = 10_000;
/** Timeout of the first choice of candidates in the first pass, if the file names no relay. */
const FIRST_CHOICE_MS = 5_000;
/** During shutdown, a connection without bytes for this long counts as finished. */
const QUIET_MS = 1_000;
const NOTHING: Desired = { file: undefined, identityFile: undefined, relays: [], services: [] };

/** Makes Desired the running configuration, one pass at a time, and reports events. */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #parts: RunnerParts;
  readonly #state = new RunState();
  readonly #passes = new Passes((desired) => this.#pass(desired));
  /** The requested configuration, including expired services. */
  #desired: Desired | undefined;
  /** The effective configuration: without expired services, and with the chosen relays. */
  #current: Desired | undefined;
  /** Services keep their relays until the first choice. */
  #keepsRelays = false;
  #rejected: ProblemSummary[] = [];
  #stopped: Promise<void> | undefined;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#parts = new RunnerParts(options, {
      current: () => this.#current ?? NOTHING,
      about: () => this.#about(),
      onPhase: (lease) => this.#phaseChanged(lease),
      onFinished: () => this.#releaseRelays(),
      onChoice: () => this.#applyAgain(),
      onFirstChoice: () => this.#onFirstChoice(),
      onNews: () => this.#reportUnplaced(),
    });
  }

  /** Creates share links. Undefined without a store for them. */
  get sharing(): Sharing | undefined {
    return this.#parts.sharing;
  }

  /**
   * Makes `desired` the running configuration. Resolves when every action has its first outcome (ready, failed, or retrying).
   * Requests during a pass merge into the next one, and only the last counts.
   */
  apply(desired: Desired): Promise<void> {
    // A slow start must not delay the next edit.
    if (this.#parts.commands.isAnyStarting) this.#state.hurry();
    return this.#passes.ask(desired);
  }

  /** Reports a rejected save. The running configuration stays. */
  reject(problems: readonly Problem[]): void {
    this.#rejected = problems.map(withoutFrame);
    this.#options.emit({ event: 'rejected', errors: this.#rejected });
  }

  /** What `apply(desired)` would do now. */
  plan(desired: Desired): Action[] {
    const { active, clock, candidates, holding } = this.#parts;
    const { placed } = active;
    const wanted = this.#placed(clock.unexpired(desired));
    const actions = plan(candidates.extend(wanted, placed), placed);
    return holding.marked(actions, wanted.services);
  }

  /** Checks every relay and local service, with a timeout, then returns the state. */
  async status(): Promise<AgentStatus> {
    const { report, inspection, holding, commands, startedAt } = this.#parts;
    const found = await report.status();
    const inspector = inspection?.url;
    return {
      pid: process.pid,
      file: this.#options.file,
      identity: this.#options.identity.address,
      startedAt: startedAt.toISOString(),
      revision: this.#state.revision,
      rejected: this.#rejected,
      ...(inspector === undefined ? {} : { inspector }),
      ...found,
      ...holding.status,
      ...(commands.status.length > 0 && { commands: commands.status }),
    };
  }

  /** The known state, without asking anyone. */
  snapshot(): Pick<AgentStatus, 'relays' | 'leases' | 'inspector' | 'held'> & {
    unplaced: readonly UnplacedStatus[];
    /** By service, since this agent started. */
    heldCounts: ReadonlyMap<string, HeldCounts>;
  } {
    const { holding, unplaced, inspection } = this.#parts;
    const inspector = inspection?.url;
    return {
      ...this.#parts.snapshot(),
      heldCounts: holding.held.counts,
      unplaced: unplaced.status,
      ...(inspector !== undefined && { inspector }),
    };
  }

  /** Whether visitors reach every service. Sends nothing to relays or services, so it may be called often. */
  readiness(): Readiness {
    return this.#parts.report.readiness(this.#state.isServing ? this.#current : undefined);
  }

  /** Every relay that the configuration resolves to, with its known state. Has a timeout. */
  relays(): Promise<Survey> {
    return this.#parts.report.relays(this.#desired);
  }

  /** Proves now that visitors reach each service; `status` shows the result. Has a timeout. */
  async prove(): Promise<void> {
    await Promise.all(this.#parts.active.leases.map((lease) => lease.proveNow()));
  }

  /** The recorded requests. Undefined without an inspector. */
  get recorders(): Recorders | undefined {
    return this.#parts.inspection?.recorders;
  }

  /** Deletes the held requests. Resolves with their number. */
  wipeHeld(): Promise<number> {
    return this.#parts.holding.held.wipe();
  }

  /** The number of connected visitors of all services. */
  get visitors(): number {
    return this.#parts.active.all.reduce((sum, lease) => sum + lease.status().visitors, 0);
  }

  /** Stops accepting, drains for at most `drainMs`, unregisters, closes everything. Idempotent. */
  stop({ reason, drainMs }: { reason: string; drainMs: number }): Promise<void> {
    this.#stopped ??= this.#stop(reason, drainMs);
    return this.#stopped;
  }

  /** Ends the programs of all services now, because the process exits. */
  kill(): void {
    this.#parts.commands.kill();
  }

  /** `desired` with the actual ports of its relays, commands and folders. */
  #placed(desired: Desired): Desired {
    const { commands, folders, embedded } = this.#parts;
    return commands.placed(folders.placed(embedded.placed(desired)));
  }

  /** Applies the latest Desired again, because its effect may have changed. */
  #applyAgain(): void {
    if (this.#state.now === 'choosing') return;
    const desired = this.#passes.next ?? this.#desired;
    this.#state.hurry();
    if (desired) void this.apply(desired);
  }

  async #pass(desired: Desired): Promise<void> {
    const startedAt = performance.now();
    const { active, announce } = this.#parts;
    if (!this.#state.enter('preparing')) return;
    const wanted = await this.#prepare(desired);
    if (!this.#state.enter('choosing')) return;
    await this.#choose(wanted);
    if (!this.#state.enter('opening')) return;
    const actions = await this.#open(desired, wanted);
    if (!this.#state.enter('running')) return;
    const { lasting, retiring } = active;
    const expired = this.#parts.clock.expired(desired);
    const durationMs = performance.now() - startedAt;
    announce.applied(this.#state.revision, actions, lasting, retiring, durationMs, expired);
    this.#reportReady();
  }

  /** Starts the relays, commands and folders of `desired`. Returns its unexpired part, with their ports. */
  async #prepare(desired: Desired): Promise<Desired> {
    const { clock, pool, embedded, commands, folders } = this.#parts;
    const unexpired = clock.unexpired(desired);
    this.#desired = desired;
    pool.changed();
    await embedded.start(unexpired);
    await commands.prepare(unexpired);
    await folders.prepare(unexpired);
    return this.#placed(unexpired);
  }

  async #choose(wanted: Desired): Promise<void> {
    const { candidates } = this.#parts;
    candidates.follow(wanted);
    // Without any relay, services cannot start before the choice.
    if (wanted.relays.length === 0) await candidates.settled(FIRST_CHOICE_MS);
  }

  /** Opens, changes and closes services. Resolves once each action has its first outcome, with a timeout. */
  async #open(desired: Desired, wanted: Desired): Promise<Action[]> {
    const { active, candidates, clock, pool, commands, folders, local, inspection, holding } = this.#parts;
    this.#keepsRelays = !candidates.isSettled && active.placed.length > 0;
    const current = candidates.extend(wanted, active.placed);
    this.#current = current;
    this.#reportUnplaced();
    const actions = plan(current, active.placed);
    clock.watch(desired, () => this.#applyAgain());
    this.#rejected = [];
    await inspection?.follow(current);
    await holding.follow(current);
    if (this.#state.isStopping) return actions;
    commands.follow(current);
    local.follow(current.services);
    for (const spec of current.relays) pool.ensure(spec);
    const opened = active.carryOut(actions, placements(current));
    const settled = Promise.all([opened, local.known()]);
    await within(Promise.race([settled, this.#state.hurried]), SETTLE_MS, 'a pass').catch(() => undefined);
    if (this.#state.isStopping) return actions;
    await pool.release(current.relays);
    await folders.release(current);
    return actions;
  }

  /** Disconnects relays that no lease uses. */
  async #releaseRelays(): Promise<void> {
    if (!this.#state.isStopping && this.#current) await this.#parts.pool.release(this.#current.relays);
  }

  /** What the identity's owner sees of this agent. */
  #about(): AgentInfo {
    const { machine = this.#options.machine, team = [] } = this.#desired ?? {};
    return { machine: machine === false ? undefined : machine, team };
  }

  #phaseChanged(lease: AgentLease): void {
    this.#parts.announce.lease(lease);
    this.#parts.pool.changed(lease.relay);
    this.#parts.inspection?.changed();
    this.#parts.active.phaseChanged(lease);
    if (this.#state.revision > 0 && isSettled(lease)) this.#reportReady();
  }

  /** If nothing was chosen, services no longer keep their relays. */
  #onFirstChoice(): void {
    this.#reportReady();
    if (this.#keepsRelays) this.#applyAgain();
  }

  #reportUnplaced(): void {
    if (this.#state.isStopping || !this.#current) return;
    const services = this.#current.services.filter(({ relays }) => relays.length === 0);
    this.#parts.unplaced.follow(
      services.map(({ service }) => service),
      () => this.#parts.candidates.noRelayError(),
    );
  }

  #reportReady(): void {
    if (this.#state.isStopping || !this.#current || !this.#parts.candidates.isSettled) return;
    this.#parts.announce.ready(
      this.#parts.active.lasting,
      this.#current.services.map(({ service }) => service),
      // For relays of the pool, the first outcome is enough.
      (lease) => isFinal(lease) || (this.#parts.candidates.isChosen(lease.relay) && isSettled(lease)),
    );
  }

  async #stop(reason: string, drainMs: number): Promise<void> {
    const { clock, local, publicNames, candidates, holding, active, commands, folders, pool } = this.#parts;
    const { embedded, inspection, certificates } = this.#parts;
    this.#state.enter('stopping');
    this.#passes.close();
    for (const part of [local, publicNames]) part.close();
    clock.stop();
    await candidates.close();
    const held = holding.close(drainMs);
    let disconnected = 0;
    const onCut = (visitors: number): void => void (disconnected += visitors);
    await active.close({ ms: drainMs, quietMs: QUIET_MS, onCut });
    await held;
    await this.#passes.ended();
    await commands.close();
    await folders.release(NOTHING);
    await pool.release([]);
    await embedded.close();
    await inspection?.close();
    certificates.acme.close();
    this.#options.emit({ event: 'stopped', reason, ...(disconnected > 0 && { disconnected }) });
  }
}

function withoutFrame(problem: Problem): ProblemSummary {
  const { frame: _, ...summary } = problem;
  return summary;
}

/** Creates a runner without a configuration. */
export function createRunner(options: RunnerOptions): Runner {
  return new Runner(options);
}
