import { delay } from '../../dist/modules/lib/wait.js';
import { DOMAIN } from './node.mjs';
import { LIMITS } from './shape.mjs';

/**
 * Agents with different identities that want the same names, all the time: both open each new name, and a public port, at once. The loser tries
 * again once the name is no longer reserved for the winner, and one of them always tries to take names of other agents.
 */

const CYCLE_MS = 7_000;
/** Visitors of a name come for this many cycles. */
const VISITED = 2;
/** The loser tries again this many cycles later: after the reservation of a name that was not held for long. */
const AGAIN = Math.ceil((CYCLE_MS + LIMITS.reserveAfterMs + 2_000) / CYCLE_MS);

/** Names with this prefix have a public port, too. */
const RACE = 'race-';

export class Race {
  #world;
  #names;
  #stop = new AbortController();
  #cycle = 0;
  /** By agent: the names that it wants. */
  #wanted = new Map();
  /** By name: who had it first. */
  winners = new Map();
  #waiters = new Set();
  #unvisit = [];
  #running;

  /** `owned` are names of other agents, which no racer may ever get. */
  constructor(world, { racers, owned }) {
    this.#world = world;
    this.#names = { racers, owned };
    for (const racer of racers) this.#wanted.set(racer, new Set());
  }

  start() {
    this.#running = this.#run();
  }

  async stop() {
    this.#stop.abort();
    await this.#running;
    for (const unvisit of this.#unvisit) unvisit();
    for (const racer of this.#names.racers) this.#wanted.get(racer).clear();
    for (const racer of this.#names.racers) this.#write(racer);
  }

  /** Makes an agent want a name, or no longer. */
  want(racer, name, wants = true) {
    const names = this.#wanted.get(racer);
    if (wants) names.add(name);
    else names.delete(name);
    this.#write(racer);
  }

  /** A line of an agent about a lease. */
  lease(agent, name, phase) {
    if (phase !== 'ready') return;
    if (this.#wanted.has(agent) && !this.winners.has(name)) this.winners.set(name, agent);
    for (const look of this.#waiters) look(agent, name);
  }

  /** Resolves with true once `agent` has opened `name`, or with false after `ms`. */
  opened(agent, name, ms) {
    return new Promise((resolve) => {
      const settle = (value) => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        resolve(value);
      };
      const look = (who, what) => who === agent && what === name && settle(true);
      const timer = setTimeout(() => settle(false), ms);
      this.#waiters.add(look);
    });
  }

  get racers() {
    return this.#names.racers;
  }

  async #run() {
    while (!this.#stop.signal.aborted) {
      this.#next(++this.#cycle);
      await delay(CYCLE_MS, this.#stop.signal).catch(() => undefined);
    }
  }

  #next(cycle) {
    const { racers, owned } = this.#names;
    const [name, former, again] = [cycle, cycle - 1, cycle - AGAIN].map((number) => `${RACE}${number}`);
    const winner = this.winners.get(again);
    for (const racer of racers) {
      const names = this.#wanted.get(racer);
      names.delete(former);
      names.delete(`${RACE}${cycle - AGAIN - 1}`);
      names.add(name);
      if (winner !== undefined && racer !== winner) names.add(again);
      for (const other of owned) names.delete(other);
    }
    // Each time as a new service: an agent retries a name that another identity has only once a minute.
    this.#wanted.get(racers[cycle % racers.length]).add(owned[cycle % owned.length]);
    for (const racer of racers) this.#write(racer);
    this.#unvisit.push(this.#world.visitName(name));
    if (this.#unvisit.length > VISITED + AGAIN) this.#unvisit.shift()();
  }

  #write(racer) {
    const own = this.#world.servicesOf(racer);
    const wanted = [...this.#wanted.get(racer)].flatMap((name) => [
      { service: `want-${name}`, name, mode: 'http' },
      ...(name.startsWith(RACE) ? [{ service: `port-${name}`, name, mode: 'tcp' }] : []),
    ]);
    this.#world.agents.configure(racer, [...own, ...wanted]);
  }
}

/** The name that a service of a racer or an owner stands for. */
export const nameOfService = (service) => service.replace(/^(want|port)-/, '');

export const hostnameOf = (name) => `${name}.${DOMAIN}`;
