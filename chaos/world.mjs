import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openLocalCa } from '../dist/modules/certificates/local-ca.js';
import { AgentProcess, RelayProcess } from './actors.mjs';
import { clockEnv } from './lib/clock.mjs';
import { Network } from './lib/network.mjs';
import { killEverything, Program } from './lib/program.mjs';
import { relayOptions } from './limits.mjs';
import { Pool } from './pool.mjs';
import { wayOf } from './shape.mjs';

/**
 * Relays, agents, their services, a DNS server and visitors, each on a separate machine. The relays are peers of each
 * other, and share one CA.
 */

const child = (name) => fileURLToPath(new URL(`children/${name}.mjs`, import.meta.url));

export class World {
  relays = new Map();
  agents = new Map();
  /**
   * {id, agent, service, kind, leaseKind, relays: [entry, …, exit], links, further, key, …where a visitor finds it}.
   * Lanes of a pool also have isOpen and openedAt.
   */
  lanes = [];
  /** By agent. */
  pools = new Map();
  #shape;
  #folder;
  services = new Map();
  #onVisitor;

  #flowIdleMs;
  /** File of the relays' CA. */
  #ca;

  /** `onVisitor` gets every line of the visitors. */
  constructor(shape, folder, { flowIdleMs, onVisitor, onTrouble }) {
    this.#shape = shape;
    this.#folder = folder;
    this.#flowIdleMs = flowIdleMs;
    this.#onVisitor = onVisitor;
    this.on = {
      onTrouble,
      onStart: (name) => this.pools.get(name)?.started(),
      onLease: (name, lease) => this.pools.get(name)?.phase(lease),
    };
    this.network = new Network(folder);
  }

  async open() {
    await this.network.open();
    this.observer = new Program('the observer', this.network.onSwitch(process.execPath, child('observer')));
    this.#ca = (await openLocalCa(join(this.#folder, 'ca'))).certificateFile;
    for (const name of this.#shape.relays) {
      const machine = await this.#machine(name);
      cpSync(join(this.#folder, 'ca'), machine.path('disk', 'ca'), { recursive: true });
      this.relays.set(name, new RelayProcess(machine, clockEnv(join(machine.folder, 'clock')), this.on));
    }
    const urls = [...this.relays.values()].map(({ url }) => url);
    for (const relay of this.relays.values())
      relay.options = relayOptions(this.#shape, {
        peers: urls.filter((url) => url !== relay.url),
        peerCa: this.#ca,
        flowIdleMs: this.#flowIdleMs,
      });
    await this.startDns();
    await Promise.all([...this.relays.values()].map((relay) => relay.start()));
    for (const name of this.#shape.agents) await this.#openAgent(name);
    await Promise.all([...this.agents.values()].map((agent) => agent.start()));
    this.visitorMachine = await this.#machine('v1');
    this.visitors = new Program(
      'the visitors',
      this.visitorMachine.within(process.execPath, child('visitors')),
      {
        onLine: (line) => this.#onVisitor(line),
        keep: join(this.#folder, 'visitors.log'),
      },
    );
    for (const agent of this.agents.values())
      if (!this.pools.has(agent.name)) for (const lease of agent.leases()) this.#addLane(agent, lease);
  }

  admitVisitors() {
    // Lanes of a pool can open before their agent's CA is known.
    for (const lane of this.lanes) if (lane.hostname) lane.ca = this.agents.get(lane.agent).ca;
    this.visitors.say({ lanes: this.lanes.filter(({ isOpen = true }) => isOpen) });
  }

  /** Each pool as a whole, because a fault of any relay or path affects it. */
  get places() {
    const { relays } = this.#shape;
    return [...this.pools].map(([agent, pool]) => ({
      id: agent,
      pool,
      agent,
      relays,
      links: relays.map((relay) => [agent, relay]),
      further: 0,
    }));
  }

  /** The relays' metrics: {name: {series: value}}. */
  async metrics() {
    const read = Object.fromEntries(
      [...this.relays.values()].map(({ name, metricsUrl }) => [name, metricsUrl]),
    );
    this.observer.say({ read });
    return (await this.observer.next((line) => line.metrics, 15_000, 'metrics')).metrics;
  }

  /** How many visits of each lane are open. */
  async visits() {
    this.visitors.say({ count: true });
    return (await this.visitors.next((line) => line.visits, 15_000, 'count')).visits;
  }

  async startDns() {
    // `--local`: the server answers a query for an IPv6 address with "no such record", instead of refusing it.
    const records = this.#shape.relays.flatMap((name) => [
      `--address=/${name}.test/${this.relays.get(name).machine.address}`,
      `--local=/${name}.test/`,
    ]);
    this.dns = await this.network.startDns(records);
  }

  /** How many connections each agent's local services have. */
  async localConnections(name) {
    const services = this.services.get(name);
    services.say({ count: true });
    return (await services.next((line) => line.connections, 5_000, 'count')).connections;
  }

  async quietVisitors() {
    this.visitors.say({ quiet: true });
    return (await this.visitors.next((line) => line.quiet, 60_000, 'end of their streams')).quiet;
  }

  resumeVisitors() {
    this.visitors.say({ go: true });
  }

  /** Ends everything in order. Resolves with how each relay and agent ended. */
  async close() {
    this.visitors?.signal('SIGKILL');
    const agents = [...this.agents.values()];
    const ends = await Promise.all(agents.map((agent) => agent.stop()));
    const relayEnds = await Promise.all([...this.relays.values()].map((relay) => relay.stop()));
    await killEverything();
    return [...ends, ...relayEnds];
  }

  async #machine(name) {
    const folder = join(this.#folder, name);
    mkdirSync(join(folder, 'disk'), { recursive: true, mode: 0o700 });
    return this.network.add(name);
  }

  async #openAgent(name) {
    const machine = await this.#machine(name);
    const services = new Program(
      `the services of ${name}`,
      machine.within(process.execPath, child('services')),
      { keep: join(machine.folder, 'services.log') },
    );
    this.services.set(name, services);
    const { ports } = await services.next((line) => line.ports, 10_000, 'ports');
    const shape = this.#shape;
    const relayOf = (relay) => ({ url: this.relays.get(relay).url, ca: this.#ca });
    const relays = shape.relaysOf(name).map(relayOf);
    const chains = Object.entries(shape.chainsOf(name)).map(([chain, path]) => [chain, path.map(relayOf)]);
    const described = shape.servicesOf(name);
    const isPooled = shape.pools.includes(name);
    const registry = join(machine.folder, 'registry.json');
    if (isPooled) writeJson(registry, { relays });
    // JSON is YAML.
    writeJson(join(machine.folder, 'portal.yaml'), {
      version: 1,
      relays: isPooled ? { registry, maxActive: shape.maxActive } : { urls: relays },
      ...(chains.length > 0 && { chains: Object.fromEntries(chains) }),
      services: Object.fromEntries(described.map(({ service, config }) => [service, config(ports)])),
    });
    const places = isPooled ? shape.maxActive : relays.length;
    const expected = described.reduce((sum, { chain }) => sum + (chain === undefined ? places : 1), 0);
    const agent = new AgentProcess(machine, clockEnv(join(machine.folder, 'clock')), this.on, expected);
    this.agents.set(name, agent);
    if (isPooled) this.#addPool(agent, described);
  }

  #addPool(agent, services) {
    const relays = new Map([...this.relays.values()].map(({ name, url }) => [url, name]));
    const { maxActive } = this.#shape;
    const pool = new Pool({
      agent,
      relays,
      services,
      maxActive,
      laneOf: (lease) => this.#addLane(agent, lease),
      open: (lane) => this.visitors?.say({ open: lane }),
      shut: ({ id }) => this.visitors?.say({ shut: id }),
    });
    this.pools.set(agent.name, pool);
  }

  #addLane(agent, { service, relay: key, ...lease }) {
    const byUrl = new Map([...this.relays.values()].map((relay) => [relay.url, relay]));
    const path = key.split(',').map((url) => byUrl.get(url));
    const relays = path.map(({ name }) => name);
    const { kind, lease: leaseKind } = this.#shape
      .servicesOf(agent.name)
      .find((one) => one.service === service);
    const at = lease.url ? new URL(lease.url) : undefined;
    const [, port] = (lease.tcpAddr ?? lease.udpAddr ?? '').split(':');
    const lane = {
      id: `${service}@${relays.join()}`,
      service,
      kind,
      leaseKind,
      ...wayOf(agent.name, relays),
      key,
      address: path[0].machine.address,
      port: Number(at ? at.port || 443 : port),
      ...(at && { hostname: at.hostname, ca: agent.ca }),
    };
    this.lanes.push(lane);
    return lane;
  }
}

const writeJson = (file, content) => writeFileSync(file, JSON.stringify(content, undefined, 2));
