import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AgentProcess, RelayProcess } from './actors.mjs';
import { clockEnv } from './lib/clock.mjs';
import { Network } from './lib/network.mjs';
import { killEverything, Program } from './lib/program.mjs';

/** Relays, agents, their services, a DNS server and visitors, each on a machine of its own. */

const DNS_UP_MS = 5_000;
const child = (name) => fileURLToPath(new URL(`children/${name}.mjs`, import.meta.url));

/** The services of each agent: name, kind of visitor, and what portal.yaml says. */
const SERVICES = [
  { name: 'web', kind: 'http', config: ({ http }) => ({ mode: 'http', target: http }) },
  { name: 'tls', kind: 'echo', config: ({ tcp }) => ({ mode: 'stream', target: tcp }) },
  { name: 'ws', kind: 'echo', config: ({ tcp }) => ({ mode: 'stream', target: tcp, carrier: 'ws' }) },
  { name: 'tcp', kind: 'echo', config: ({ tcp }) => ({ mode: 'tcp', target: tcp }) },
  { name: 'udp', kind: 'udp', config: ({ udp }) => ({ mode: 'udp', target: udp }) },
];

/** Names alone, for the schedule: how many of what, and which agent is on which relay. */
export function shapeOf({ relays, agents }) {
  const relayNames = Array.from({ length: relays }, (_, index) => `r${index + 1}`);
  return {
    relays: relayNames,
    agents: Array.from({ length: agents }, (_, index) => `a${index + 1}`),
    /** Two relays an agent, in a ring. */
    relaysOf: (agent) => {
      const index = Number(agent.slice(1)) - 1;
      return [...new Set([relayNames[index % relays], relayNames[(index + 1) % relays]])];
    },
  };
}

export class World {
  relays = new Map();
  agents = new Map();
  /** {id, agent, relay, service, kind, …where a visitor finds it}. */
  lanes = [];
  #shape;
  #folder;
  services = new Map();
  #onVisitor;

  /** `onVisitor` gets every line of the visitors, `onPhase` is told that a lease changed. */
  constructor(shape, folder, { onVisitor, onPhase, onTrouble }) {
    this.#shape = shape;
    this.#folder = folder;
    this.#onVisitor = onVisitor;
    this.on = { onPhase, onTrouble };
    this.network = new Network(folder);
  }

  async open() {
    await this.network.open();
    for (const name of this.#shape.relays) {
      const machine = await this.#machine(name);
      this.relays.set(name, new RelayProcess(machine, clockEnv(join(machine.folder, 'clock')), this.on));
    }
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
    for (const agent of this.agents.values()) this.#addLanes(agent);
  }

  admitVisitors() {
    this.visitors.say({ lanes: this.lanes });
  }

  async startDns() {
    const { network } = this;
    const records = this.#shape.relays.map(
      (name) => `--address=/${name}.test/${this.relays.get(name).machine.address}`,
    );
    this.dns = new Program(
      'dnsmasq',
      network.onSwitch(
        'dnsmasq',
        '--keep-in-foreground',
        '--conf-file=/dev/null',
        '--no-resolv',
        '--no-hosts',
        '--user=root',
        '--pid-file=',
        '--bind-interfaces',
        `--listen-address=${network.dns}`,
        '--log-facility=-',
        ...records,
      ),
    );
    const said = new Promise((resolve) => {
      this.dns.process.stderr.once('data', resolve);
      setTimeout(resolve, DNS_UP_MS).unref();
    });
    await Promise.race([said, this.dns.ended]);
    if (!this.dns.isUp) throw new Error(`dnsmasq ended (${this.dns.gone}): ${this.dns.said.join('\n')}`);
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

  /** Ends everything, gently: resolves with how each relay and agent ended. */
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
    const urls = this.#shape.relaysOf(name).map((relay) => {
      const { url, ca } = this.relays.get(relay);
      const file = join(machine.folder, `${relay}.pem`);
      writeFileSync(file, ca);
      return { url, ca: file };
    });
    const config = {
      version: 1,
      relays: { urls },
      services: Object.fromEntries(
        SERVICES.map((service) => [`${name}-${service.name}`, service.config(ports)]),
      ),
    };
    // JSON is YAML.
    writeFileSync(join(machine.folder, 'portal.yaml'), JSON.stringify(config, undefined, 2));
    const expected = SERVICES.length * urls.length;
    this.agents.set(
      name,
      new AgentProcess(machine, clockEnv(join(machine.folder, 'clock')), this.on, expected),
    );
  }

  #addLanes(agent) {
    for (const { service, relay: url, ...lease } of agent.leases()) {
      const relay = [...this.relays.values()].find((one) => one.url === url);
      const { kind } = SERVICES.find(({ name }) => service.endsWith(`-${name}`));
      const at = lease.url ? new URL(lease.url) : undefined;
      const [, port] = (lease.tcpAddr ?? lease.udpAddr ?? '').split(':');
      this.lanes.push({
        id: `${service}@${relay.name}`,
        agent: agent.name,
        relay: relay.name,
        service,
        kind,
        address: relay.machine.address,
        port: Number(at ? at.port || 443 : port),
        ...(at && { hostname: at.hostname, ca: agent.ca }),
      });
    }
  }
}
