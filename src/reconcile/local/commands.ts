import { portalVariables, type ServiceUrls } from '../../agent/commands/environment.js';
import type { Program, ProgramState } from '../../agent/commands/program.js';
import type { StartingStatus } from '../../agent/status.js';
import { commandsOf, targetsOf, withTargets, type NamedCommand, type ServiceSpec } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { printedPort } from '../../agent/commands/printed-port.js';
import { deferred } from '../../lib/wait.js';
import { formatTarget, type Target } from '../../net/target/target.js';
import type { CommandStatus, PortalEvent } from '../events.js';
import { commandPort } from '../notices.js';

export interface CommandsOptions {
  /** The variables that every program inherits. */
  readonly environment: NodeJS.ProcessEnv;
  readonly urls: () => ServiceUrls;
  /** Whether the targets of a service respond. */
  readonly isUp: (service: string) => boolean;
  readonly emit: (event: PortalEvent) => void;
}

interface Running {
  named: NamedCommand;
  readonly program: Program;
  restarts: number;
  /** The first port in its output that no target has. */
  printedPort?: number;
}

/** The code that runs programs. An agent without commands does not load it. */
const loadRuntime = async () => {
  const [{ freePort }, { Guardian }, program] = await Promise.all([
    import('../../agent/commands/free-port.js'),
    import('../../agent/commands/guardian.js'),
    import('../../agent/commands/program.js'),
  ]);
  return { freePort, guardian: new Guardian(), Program: program.Program };
};

/** How long a program may take to listen, before its target counts as unreachable. */
const START_MS = 30_000;
/** How long after such a line a program may still begin to listen on the right port. */
const OTHER_PORT_MS = 2_000;

/** Owns the programs of the services: gives them ports, and starts, restarts and stops them. */
export class Commands {
  readonly #options: CommandsOptions;
  #runtime: Awaited<ReturnType<typeof loadRuntime>> | undefined;
  /** The chosen ports, by command. A port stays until its command is removed. */
  readonly #ports = new Map<string, number>();
  readonly #running = new Map<string, Running>();
  /** Programs that are ending, by command. */
  readonly #stopping = new Map<string, Promise<unknown>>();
  #services: readonly ServiceSpec[] = [];
  /** Resolves when a service responds that did not before. */
  #news = deferred<void>();

  constructor(options: CommandsOptions) {
    this.#options = options;
  }

  /** Chooses a port for each command without one. Call it before `follow`. */
  async prepare({ services }: Desired): Promise<void> {
    const all = services.flatMap(commandsOf);
    if (all.length === 0) return this.#ports.clear();
    const { freePort } = (this.#runtime ??= await loadRuntime());
    const wanted = all.filter(({ target }) => isFree(target));
    const names = new Set(wanted.map(({ name }) => name));
    for (const name of this.#ports.keys()) if (!names.has(name)) this.#ports.delete(name);
    for (const name of names) {
      if (!this.#ports.has(name)) this.#ports.set(name, await freePort(new Set(this.#ports.values())));
    }
  }

  /** `desired` with the chosen ports. A command that is not prepared keeps port 0. */
  placed(desired: Desired): Desired {
    return { ...desired, services: desired.services.map((spec) => this.#placed(spec)) };
  }

  /** Runs exactly the commands of `desired`. A command with the same text, folder, variables and port keeps running. */
  follow({ services }: Desired): void {
    this.#services = services;
    const wanted = new Map(services.flatMap(commandsOf).map((named) => [named.name, named]));
    for (const [name, running] of this.#running) {
      const named = wanted.get(name);
      if (named && keyOf(named) === keyOf(running.named)) {
        running.named = named;
        wanted.delete(name);
      } else this.#stop(name, running);
    }
    for (const named of wanted.values()) this.#start(named);
    this.changed();
  }

  /** Checks again whether the services that commands wait for respond. */
  changed(): void {
    this.#news.resolve();
    this.#news = deferred<void>();
  }

  /** Whether a program of `service` has just started, so that its target may not respond yet. */
  isStarting(service: string): boolean {
    return [...this.#running.values()].some(
      ({ named, program }) => named.service === service && isStarting(program),
    );
  }

  /** The targets of the programs of `service` that start, and what those wait for. Undefined if none starts. */
  startingOf(service: string): StartingStatus | undefined {
    const starting = [...this.#running.values()].filter(
      ({ named, program }) => named.service === service && isStarting(program),
    );
    if (starting.length === 0) return undefined;
    const waitsFor = [...new Set(starting.flatMap((running) => this.#waitsFor(running)))];
    const targets = starting.map(({ named }) => formatTarget(named.target));
    return { targets, ...(waitsFor.length > 0 && { waitsFor }) };
  }

  /** Whether any program has just started. */
  get isAnyStarting(): boolean {
    return [...this.#running.values()].some(({ program }) => isStarting(program));
  }

  get status(): CommandStatus[] {
    return [...this.#running.values()].map((running) => {
      const { named, program, restarts } = running;
      const { name, service, command, target } = named;
      const waitsFor = this.#waitsFor(running);
      return {
        name,
        service,
        run: command.run,
        ...stateFields(program.state),
        ...(waitsFor.length > 0 && { waitsFor }),
        ...(target.kind === 'tcp' && { port: target.port }),
        restarts,
      };
    });
  }

  /** Ends every program. Has a timeout. */
  async close(): Promise<void> {
    for (const [name, running] of this.#running) this.#stop(name, running);
    await Promise.all(this.#stopping.values());
    await this.#runtime?.guardian.close();
  }

  /** Ends every program now, because the process exits. */
  kill(): void {
    for (const { program } of this.#running.values()) program.kill();
  }

  #placed(spec: ServiceSpec): ServiceSpec {
    const ports = new Map(
      commandsOf(spec)
        .filter(({ target }) => isFree(target))
        .flatMap(({ name, command }) => {
          const port = this.#ports.get(name);
          return port === undefined ? [] : [[command, port] as const];
        }),
    );
    if (ports.size === 0) return spec;
    return withTargets(spec, (target, command) => {
      const port = command && ports.get(command);
      return port === undefined ? target : { ...target, port };
    });
  }

  #start(named: NamedCommand): void {
    const { name, service, command } = named;
    const { emit } = this.#options;
    const before = this.#stopping.get(name);
    const { Program: Runs, guardian } = this.#runtime!;
    const program = new Runs({
      command,
      guardian,
      environment: async (signal) => {
        // Its port must be free again.
        await before;
        await this.#dependencies(name, signal);
        return this.#environmentOf(name);
      },
      onState: (state) => {
        if (state.state === 'exited') running.restarts++;
        if (state.state !== 'waiting') emit({ event: 'command', service, name, ...stateFields(state) });
      },
      onLine: (stream, text) => {
        emit({ event: 'output', service, name, stream, text });
        this.#comparePort(running, text);
      },
    });
    const running: Running = { named, program, restarts: 0 };
    this.#running.set(name, running);
  }

  /** Reports once that a command listens on a port of its choice, if its target does not respond either. */
  #comparePort(running: Running, line: string): void {
    const port = running.printedPort === undefined ? printedPort(line) : undefined;
    const { name, service, target } = running.named;
    const targets = this.#services.flatMap(targetsOf);
    if (port === undefined || targets.some((each) => each.kind === 'tcp' && each.port === port)) return;
    running.printedPort = port;
    const asked = target.kind === 'tcp' ? target.port : undefined;
    setTimeout(() => {
      const isRunning = this.#running.get(name) === running && running.program.state.state === 'running';
      if (asked === undefined || !isRunning || this.#options.isUp(service)) return;
      this.#options.emit({ event: 'notice', ...commandPort(service, name, port, asked) });
    }, OTHER_PORT_MS).unref();
  }

  #stop(name: string, { program }: Running): void {
    this.#running.delete(name);
    const before = this.#stopping.get(name);
    const stopped = Promise.all([before, program.stop()]);
    this.#stopping.set(name, stopped);
    void stopped.finally(() => {
      if (this.#stopping.get(name) === stopped) this.#stopping.delete(name);
    });
  }

  /** Resolves once every service that the command depends on responds. Rejects when `signal` aborts. */
  async #dependencies(name: string, signal: AbortSignal): Promise<void> {
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    aborted.catch(() => undefined);
    for (let told = ''; ;) {
      signal.throwIfAborted();
      const missing = this.#missing(name);
      if (missing.length === 0) return;
      if (told !== missing.join()) {
        const { service } = this.#running.get(name)!.named;
        this.#options.emit({ event: 'command', service, name, state: 'waiting', waitsFor: missing });
      }
      told = missing.join();
      await Promise.race([this.#news.promise, aborted]);
    }
  }

  #waitsFor({ named, program }: Running): string[] {
    return program.state.state === 'waiting' ? this.#missing(named.name) : [];
  }

  /** The services that a command waits for. A service that was removed or has expired does not count. */
  #missing(name: string): string[] {
    const service = this.#running.get(name)?.named.service;
    const { dependsOn = [] } = this.#services.find((spec) => spec.service === service) ?? {};
    const known = new Set(this.#services.map((spec) => spec.service));
    return dependsOn.filter((other) => known.has(other) && !this.#options.isUp(other));
  }

  #environmentOf(name: string): NodeJS.ProcessEnv {
    const { environment, urls } = this.#options;
    const named = this.#running.get(name)!.named;
    const { env, envFile } = named.command;
    return { ...envFile, ...environment, ...portalVariables(urls(), named), ...env };
  }
}

const isFree = (target: Target): boolean => target.kind === 'tcp' && target.port === 0;

/** Equal keys mean that a running program need not restart. */
const keyOf = ({ command, target }: NamedCommand): string => JSON.stringify([command, target]);

const isStarting = ({ state: { state }, sinceMs }: Program): boolean =>
  state === 'waiting' || (state === 'running' && sinceMs < START_MS);

/** The fields of events and `status`. */
function stateFields(state: ProgramState): Pick<CommandStatus, 'state' | 'pid' | 'exit' | 'nextInMs'> {
  if (state.state === 'running') return { state: state.state, pid: state.pid };
  if (state.state === 'exited') return { state: state.state, exit: state.exit, nextInMs: state.nextInMs };
  return { state: state.state };
}
