import { parsePlace } from '../places.mjs';
import { Starvation } from './starvation.mjs';

/** What follows from a history: who had a name when, at which node, and by which way a visitor came. */
export class Facts {
  #history;
  #agents;
  /** By name: [{place, owner, node, epoch, port, from, until}], in order. Replicas of a name have spans of their own. */
  #spans = new Map();
  /** The machine of each node of the database. */
  #machines = new Map();
  #entries = new Map();
  /** The ports that agents reported: [{at, agent, name, machine, port}]. */
  #reports;

  /**
   * `agents`: identity by name, which replicas share; `machines`: name by address of a node; `nodes`: names of
   * their machines.
   */
  constructor(history, { agents, machines, nodes }) {
    this.#history = history;
    this.#agents = agents;
    this.starvation = new Starvation(history.delays, { nodes, agents: agents.keys() });
    for (const { what, op, key, owner } of history.changes)
      if (what === 'nodes' && op === 'INSERT') this.#machines.set(key, machines.get(owner) ?? owner);
    for (const { at, port, server } of history.entries ?? []) {
      const list = this.#entries.get(port) ?? [];
      this.#entries.set(port, [...list, { at, server }]);
    }
    const hosts = new Map([...machines].map(([address, name]) => [address.split(':')[0], name]));
    this.#reports = history.leases.flatMap(({ at, agent, name, phase, address = '' }) => {
      const [host, port] = address.split(':');
      return phase === 'ready' && hosts.has(host)
        ? [{ at, agent, name, machine: hosts.get(host), port: Number(port) }]
        : [];
    });
    const current = new Map();
    for (const { what, op, key, owner, node, number: epoch, port, at } of history.changes) {
      if (what !== 'leases') continue;
      const { kind, name } = parsePlace(key);
      const spans = this.#spans.get(name) ?? [];
      this.#spans.set(name, spans);
      const former = current.get(key);
      if (former) former.until = at;
      current.delete(key);
      if (op === 'DELETE') continue;
      const machine = this.machineOf(node) ?? node;
      const span = { place: key, kind, owner, machine, epoch, port, from: at, until: Infinity };
      spans.push(span);
      current.set(key, span);
    }
  }

  /** The identity of an agent. */
  identityOf(agent) {
    return this.#agents.get(agent);
  }

  /** The names of the agents of an identity. */
  agentsWith(identity) {
    return [...this.#agents].filter(([, own]) => own === identity).map(([name]) => name);
  }

  describe(identity) {
    return this.agentsWith(identity).join('/') || identity;
  }

  /** The spans of a name that touch [from, until]. */
  spansOf(name, from = -Infinity, until = Infinity) {
    return (this.#spans.get(name) ?? []).filter((span) => span.from <= until && span.until >= from);
  }

  /** Whether a node had the lease of a name at that time. `machines`: its name, or several. */
  hadLease(name, machines, at) {
    return this.spansOf(name, at, at).some(({ machine }) => [machines].flat().includes(machine));
  }

  /** The spans in which a port of a machine was given out that touch [from, until]. */
  spansOfPort(kind, machine, port, from, until) {
    return [...this.#spans.keys()].flatMap((name) =>
      this.spansOf(name, from, until).filter(
        (span) => span.kind === kind && span.machine === machine && this.#portOf(name, span) === port,
      ),
    );
  }

  /** A node writes the port after the lease, so the database may stop between both. The agent has it by then. */
  #portOf(name, { port, owner, machine, from, until }) {
    if (port !== undefined) return port;
    const reported = this.#reports.findLast(
      (report) =>
        report.name === name &&
        report.machine === machine &&
        report.at >= from &&
        report.at <= until + HEARD_MS &&
        this.identityOf(report.agent) === owner,
    );
    return reported?.port;
  }

  /** The machine of a node, by its name in the database. */
  machineOf(node) {
    return this.#machines.get(node);
  }

  /** The node that a visitor reached first; undefined if none is known. A busy machine delays the balancer's log, or the visitor. */
  entryOf({ node, port, end }) {
    if (node !== undefined) return node;
    const near = (this.#entries.get(port) ?? []).filter(({ at }) => Math.abs(at - end) < ENTRY_MS);
    return near.toSorted((one, other) => Math.abs(one.at - end) - Math.abs(other.at - end))[0]?.server;
  }

  /** Whether a visitor's way led, or may have led, through a node: the one it reached, or the one of the agent's session. */
  touches(visit, machine) {
    const entry = this.entryOf(visit);
    if (entry === machine) return true;
    // The lease may be moving: HEARD_MS before and after.
    const spans = this.spansOf(visit.name, visit.at - HEARD_MS, visit.end + HEARD_MS);
    return spans.some((span) => span.machine === machine);
  }

  /** The times at which a node gave up its leases, because its time to live ended. */
  givenUp(machine) {
    return this.#history.logs
      .filter(({ node, msg }) => node === machine && msg?.endsWith('it gives up its leases'))
      .map(({ at }) => at);
  }
}

/** Until all nodes have heard of a commit. */
const HEARD_MS = 1_500;
/** A port of the visitors is not used again within this time. */
const ENTRY_MS = 20_000;
