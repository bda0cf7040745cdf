import { Starvation } from './starvation.mjs';

/** What follows from a history: who had a name when, at which node, and by which way a visitor came. */
export class Facts {
  #history;
  /** By name: [{owner, node, epoch, from, until}], in order. */
  #spans = new Map();
  /** The machine of each node of the database. */
  #machines = new Map();
  #entries = new Map();

  /** `agents`: name by identity; `machines`: name by address of a node; `domain` of the relay;
   * `nodes`: names of their machines. */
  constructor(history, { agents, machines, domain, nodes }) {
    this.#history = history;
    this.starvation = new Starvation(history.delays, { nodes, agents: agents.values() });
    for (const { what, op, key, owner } of history.changes)
      if (what === 'nodes' && op === 'INSERT') this.#machines.set(key, machines.get(owner) ?? owner);
    for (const { at, port, server } of history.entries ?? []) {
      const list = this.#entries.get(port) ?? [];
      this.#entries.set(port, [...list, { at, server }]);
    }
    for (const change of history.changes.filter(({ what }) => what === 'leases')) {
      const { op, key, owner, node, number: epoch, at } = change;
      const name = key.endsWith(`.${domain}`) ? key.slice(0, -domain.length - 1) : key;
      const spans = this.#spans.get(name) ?? [];
      this.#spans.set(name, spans);
      if (spans.length > 0) spans.at(-1).until = Math.min(spans.at(-1).until, at);
      if (op === 'DELETE') continue;
      spans.push({
        owner: agents.get(owner) ?? owner,
        machine: this.#machines.get(node) ?? node,
        epoch,
        from: at,
        until: Infinity,
      });
    }
  }

  /** The spans of a name that touch [from, until]. */
  spansOf(name, from = -Infinity, until = Infinity) {
    return (this.#spans.get(name) ?? []).filter((span) => span.from <= until && span.until >= from);
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
