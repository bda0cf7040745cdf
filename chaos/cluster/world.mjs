import { until } from '../../bench/lib/wait.mjs';
import { chmodSync, cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openLocalCa } from '../../dist/modules/certificates/local-ca.js';
import { loadIdentity } from '../../dist/modules/identity/file.js';
import { RELAY_PORT } from '../actors.mjs';
import { clockEnv } from '../lib/clock.mjs';
import { Network } from '../lib/network.mjs';
import { killEverything, Program } from '../lib/program.mjs';
import { Agents } from './agents.mjs';
import { Balancer } from './balancer.mjs';
import { Database } from './database.mjs';
import { DOMAIN, NodeProcess } from './node.mjs';
import { PortLanes } from './ports.mjs';
import { directLanesOf, LIMITS, DRAIN_MS } from './shape.mjs';

/**
 * Nodes of one relay, their database with a standby, a balancer before each of both, agents, and visitors, each on a machine of
 * its own (lib/network.mjs).
 */

const child = (name) => fileURLToPath(new URL(`../children/${name}.mjs`, import.meta.url));
const POSTGRES_PORT = 5432;
const NAMES_KEPT_MS = 120_000;
/** The last use of a name that was not held for long is stored with an old date (relay/names/reservations.ts). */
const DAY_MS = 24 * 3_600_000;

export class World {
  nodes = new Map();
  /** What visitors visit always (shape.mjs), beside public ports. */
  lanes = [];
  #folder;
  #shape;
  #on;
  #delays;
  #visited = new Map();

  /** `on` gets what happens: {onVisitor, onEntry, onDelays, onLease, onLane (a lane of a public port), onNode, onTrouble}. */
  constructor(shape, folder, on) {
    this.#shape = shape;
    this.#folder = folder;
    this.#on = {
      onStart: () => undefined,
      onRun: (name, pid) => this.#delays.say({ watch: { [name]: pid } }),
      ...on,
    };
    this.network = new Network(folder);
    chmodSync(folder, 0o711);
    this.agents = new Agents(shape, this.#on);
    this.ports = new PortLanes({
      nodeAt: (host) => [...this.nodes.values()].find(({ machine }) => machine.address === host)?.name,
      open: (lane) => this.#openPort(lane),
      shut: ({ id }) => this.visitors?.say({ shut: id }),
    });
  }

  get on() {
    return this.#on;
  }

  /** The services that an agent always has (shape.mjs). */
  servicesOf(agent) {
    return this.#shape.servicesOf(agent);
  }

  /** The lanes of the ports that owners always have; {} for each that has no port now. */
  ownedPorts() {
    return this.#shape.owners.flatMap((agent) =>
      this.servicesOf(agent)
        .filter(({ mode }) => mode === 'tcp' || mode === 'udp')
        .map(({ service }) => this.ports.laneOf(agent, service) ?? {}),
    );
  }

  async open() {
    const { network } = this;
    await network.open();
    this.#delays = new Program('the measure of delays', [process.execPath, child('delays')], {
      onLine: (line) => this.#on.onDelays(line),
    });
    await this.#openDatabase();
    await this.#openNodes();
    // The domain and every name below it.
    const records = [`--address=/${DOMAIN}/${this.balancer.machine.address}`, `--local=/${DOMAIN}/`];
    this.dns = await this.network.startDns(records);
    for (const name of this.#shape.agents) await this.agents.open(name, await this.#machine(name));
    await Promise.all(this.agents.all().map((agent) => agent.start()));
    this.visitorMachine = await this.#machine('v1');
    this.visitors = new Program(
      'the visitors',
      this.visitorMachine.within(process.execPath, child('visitors')),
      {
        onLine: (line) => this.#on.onVisitor(line),
        keep: join(this.#folder, 'visitors.log'),
      },
    );
    this.#on.onRun('visitors', this.visitors.pid);
    this.lanes = this.#lanes(this.#shape.lanes);
  }

  /**
   * Resolves once the names of agents that are always there were held for so long that they stay reserved. Before, another agent
   * may take the name of an agent that cannot return in time.
   */
  async namesKept() {
    const query = 'SELECT name FROM portal.reservations WHERE used_at > $1';
    const areKept = async () => {
      const rows = await this.database.sql(query, [Date.now() - DAY_MS]);
      return this.#shape.ownedNames.every((name) => rows.some((row) => row.name === name));
    };
    await until(areKept, 'reserving the names of all agents', { everyMs: 250, ms: NAMES_KEPT_MS });
  }

  admitVisitors() {
    this.isVisited = true;
    this.visitors.say({ lanes: [...this.lanes, ...this.ports.all()] });
  }

  /** A lane that visitors visit, or visited. */
  laneOf(id) {
    return this.#visited.get(id);
  }

  /** Visits a name at every node too. Returns what ends that. */
  visitName(name) {
    const lanes = this.#lanes(directLanesOf(name));
    for (const lane of lanes) this.#visited.set(lane.id, { name, at: lane.at });
    for (const lane of lanes) this.visitors.say({ open: lane });
    return () => {
      for (const { id } of lanes) this.visitors.say({ shut: id });
    };
  }

  async quietVisitors() {
    this.visitors.say({ quiet: true });
    return (await this.visitors.next((line) => line.quiet, 60_000, 'end of their streams')).quiet;
  }

  /** Ends everything in order. Resolves with how each agent and node ended. */
  async close() {
    this.visitors?.signal('SIGKILL');
    const agents = await Promise.all(this.agents.all().map((agent) => agent.stop()));
    const nodes = await Promise.all([...this.nodes.values()].map((node) => node.stop(DRAIN_MS + 10_000)));
    await killEverything();
    return [...agents, ...nodes];
  }

  async #openDatabase() {
    const machines = [await this.#machine('pg1'), await this.#machine('pg2')];
    this.databaseBalancer = new Balancer(await this.#machine('dblb'), {
      port: POSTGRES_PORT,
      servers: machines.map(({ name, address }) => ({
        name,
        address: `${address}:${POSTGRES_PORT}`,
        with: '',
      })),
    });
    await this.databaseBalancer.start();
    this.database = new Database(machines, this.databaseBalancer);
    await this.database.open();
  }

  async #openNodes() {
    const ca = join(this.#folder, 'ca');
    this.agents.relay = { url: `https://${DOMAIN}`, ca: (await openLocalCa(ca)).certificateFile };
    const identity = join(this.#folder, 'identity.json');
    await loadIdentity(identity, { create: true });
    const balancer = await this.#machine('lb');
    for (const name of this.#shape.nodes) {
      const machine = await this.#machine(name);
      cpSync(ca, machine.path('disk', 'ca'), { recursive: true });
      mkdirSync(machine.path('disk', 'relay'), { mode: 0o700 });
      cpSync(identity, machine.path('disk', 'relay', 'identity.json'));
      const node = new NodeProcess(machine, clockEnv(join(machine.folder, 'clock')), this.#on, {
        database: `postgres://portal@${this.databaseBalancer.machine.address}:${POSTGRES_PORT}/postgres`,
        balancer: balancer.address,
        limits: LIMITS,
        drainMs: DRAIN_MS,
      });
      this.nodes.set(name, node);
    }
    this.balancer = new Balancer(balancer, {
      port: 443,
      onEnd: (line) => line.ip === this.visitorMachine?.address && this.#on.onEntry(line),
      options: [
        'balance roundrobin',
        'option httpchk',
        `http-check send meth GET uri /healthz ver HTTP/1.1 hdr Host ${DOMAIN}`,
        'http-check expect status 200',
      ],
      servers: [...this.nodes.values()].map(({ name, machine: { address } }) => ({
        name,
        address: `${address}:${RELAY_PORT}`,
        with: `send-proxy-v2 tcp-ut 5s check inter 2s fall 2 rise 1 check-send-proxy check-ssl verify none check-sni ${DOMAIN}`,
      })),
    });
    const [first, ...others] = this.nodes.values();
    await first.start();
    await this.database.audit();
    await Promise.all(others.map((node) => node.start()));
    await this.balancer.start();
    this.#on.onRun('balancer', this.balancer.pid);
  }

  async #machine(name) {
    const folder = join(this.#folder, name);
    mkdirSync(join(folder, 'disk'), { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o711);
    return this.network.add(name);
  }

  /** A port of an owner is always visited, one of a race while an agent has it. */
  #openPort(lane) {
    this.#visited.set(lane.id, lane);
    if (this.#shape.owners.includes(lane.agents[0])) this.#on.onLane(lane);
    if (this.isVisited) this.visitors.say({ open: lane });
  }

  /** Where visitors find lanes of shape.mjs. Visitors trust the CAs of all agents, and note whose it was. */
  #lanes(lanes) {
    const ca = this.agents.cas;
    return lanes.map((lane) => {
      const node = this.nodes.get(lane.at);
      return {
        ...lane,
        hostname: `${lane.name}.${DOMAIN}`,
        ca,
        address: (node ?? this.balancer).machine.address,
        port: node ? RELAY_PORT : 443,
      };
    });
  }
}
