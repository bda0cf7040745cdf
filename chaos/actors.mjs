import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../bench/lib/wait.mjs';
import { setClock } from './lib/clock.mjs';
import { Program } from './lib/program.mjs';
import { isOfFormer } from './lease-lines.mjs';

/** A relay and an agent as operators run them: restarted whenever they exit. */

const PORTAL = fileURLToPath(new URL('../bin/portal.js', import.meta.url));
const CONTROL = new URL('../bench/children/control.mjs', import.meta.url).href;
/** A supervisor's delay before it restarts a program that exited unexpectedly. */
const RESTART_MS = 500;
const START_MS = 30_000;
export const RELAY_PORT = 8443;
export const METRICS_PORT = 9464;
const TCP_PORTS = '20000-20099';
const UDP_PORTS = '21000-21099';

export class Actor {
  program;
  /** Set while the program should be stopped. */
  #down = true;
  #restart;
  starts = 0;

  constructor(machine, env, on) {
    this.machine = machine;
    this.name = machine.name;
    this.on = on;
    this.env = {
      PORTAL_HOME: join(machine.folder, 'disk'),
      PORTAL_ALLOW: '1',
      PORTAL_BENCH_CONTROL: '3',
      NO_COLOR: '1',
      ...env,
    };
  }

  get isUp() {
    return this.program?.isUp === true && this.ready;
  }

  /** Starts the program, and resolves once it reports that it is up. Restarts it if it does not come up. */
  async start() {
    this.#down = false;
    for (const end = Date.now() + START_MS; ;) {
      try {
        await this.launch();
        return;
      } catch (error) {
        if (this.#down || Date.now() > end) throw error;
        await this.program.kill();
        this.on.onTrouble(
          `${this.name} did not start: ${String(error.message).split('\n').slice(0, 3).join(' | ')}`,
        );
        await new Promise((resolve) => setTimeout(resolve, RESTART_MS));
      }
    }
  }

  /** Sends SIGKILL. */
  async kill() {
    this.#down = true;
    clearTimeout(this.#restart);
    this.ready = false;
    await this.program.kill();
  }

  async stop(ms) {
    this.#down = true;
    clearTimeout(this.#restart);
    return `${this.name}: ${await this.program?.stop(ms)}`;
  }

  setClock(offsetSeconds) {
    setClock(join(this.machine.folder, 'clock'), offsetSeconds);
  }

  run(args, onLine, onLog) {
    this.starts++;
    this.ready = false;
    const command = this.machine.within(
      process.execPath,
      '--expose-gc',
      '--import',
      CONTROL,
      PORTAL,
      ...args,
    );
    const program = new Program(this.name, command, {
      env: this.env,
      control: true,
      onLine,
      onLog,
      keep: join(this.machine.folder, `${this.name}.log`),
    });
    this.program = program;
    this.on.onRun?.(this.name, program.pid);
    void this.#watch(program);
    return program;
  }

  /** Restarts the program after it exited without a request. */
  async #watch(program) {
    const how = await program.ended;
    if (this.#down || this.program !== program || !this.ready) return;
    this.on.onTrouble(
      `${this.name} exited unexpectedly (${how}): ${program.said.slice(-3).join(' | ')}`,
      true,
    );
    this.ready = false;
    this.#restart = setTimeout(() => void this.start().catch(() => undefined), RESTART_MS);
  }
}

export class RelayProcess extends Actor {
  /** Further arguments. */
  options = [];

  get url() {
    return `https://${this.name}.test:${RELAY_PORT}`;
  }

  get metricsUrl() {
    return `http://${this.machine.address}:${METRICS_PORT}/metrics`;
  }

  async launch() {
    const { address } = this.machine;
    const args = ['relay', '--json', '--domain', `${this.name}.test`, '--listen', `${address}:${RELAY_PORT}`];
    const ports = ['--tcp-ports', TCP_PORTS, '--udp-ports', UDP_PORTS];
    const metrics = ['--metrics', `${address}:${METRICS_PORT}`];
    const program = this.run([...args, ...ports, ...metrics, ...this.options], undefined, (line) =>
      this.#log(line),
    );
    await program.next((line) => line.event === 'listening', START_MS, 'address');
    this.ready = true;
  }

  #log(text) {
    let line;
    try {
      line = JSON.parse(text);
    } catch {
      return;
    }
    if (line.level === 'error')
      this.on.onTrouble(`${this.name} logs: ${line.msg} ${line.err?.message ?? ''}`);
  }
}

export class AgentProcess extends Actor {
  #expected;
  #mayMove;
  #leases = new Map();
  /** The first address of each lease, which must not change. */
  #given = new Map();

  /** `mayMove`: addresses of leases may change, as those of ports at a relay on several machines do. */
  constructor(machine, env, on, expected, { mayMove = false } = {}) {
    super(machine, env, on);
    this.#expected = expected;
    this.#mayMove = mayMove;
  }

  leases() {
    return [...this.#leases.values()];
  }

  phaseOf(service, relayUrl) {
    return this.#leases.get(`${service} ${relayUrl}`)?.phase;
  }

  /** "Up" means that the process runs. Each service reports separately whether it is ready. */
  async launch() {
    this.#leases.clear();
    this.on.onStart(this.name);
    const first = this.#given.size === 0;
    const program = this.run(['up', '--json', '--file', join(this.machine.folder, 'portal.yaml')], (line) =>
      this.#line(line),
    );
    const started = await program.next((line) => line.event === 'started', START_MS, 'start');
    this.ready = true;
    if (!first) return;
    await program.next((line) => line.event === 'ready', START_MS, 'readiness');
    this.ca = readFileSync(this.machine.path(started.ca.slice(this.machine.folder.length)), 'utf8');
    // On a busy machine a pool starts with fewer relays than it reaches later.
    const open = () => this.leases().filter(({ phase }) => phase === 'ready').length;
    const all = `the last of the ${this.#expected} leases of ${this.name}`;
    await until(() => open() === this.#expected, all, { ms: START_MS });
  }

  #line(line) {
    if (line.event !== 'lease') return;
    const { service, relay, phase, lease, url, tcpAddr, udpAddr, error } = line;
    const key = `${service} ${relay}`;
    if (isOfFormer(this.#leases.get(key), line)) return;
    this.#leases.set(key, { service, relay, phase, lease, url, tcpAddr, udpAddr, error });
    const address = url ?? tcpAddr ?? udpAddr;
    if (phase === 'ready' && address !== undefined) {
      if (!this.#given.has(key)) this.#given.set(key, address);
      else if (!this.#mayMove && this.#given.get(key) !== address)
        this.on.onTrouble(`${key} moved from ${this.#given.get(key)} to ${address}`, true);
    }
    this.on.onLease(this.name, line);
  }
}
