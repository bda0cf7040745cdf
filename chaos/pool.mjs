import { now } from './lib/now.mjs';

/**
 * Tracks the services of an agent whose relays come from a list. It publishes them on `maxActive` relays, and moves
 * them when one fails. A lane is open from the moment its lease is ready until the lease drains.
 */
export class Pool {
  /** Relays that services moved away from: [{agent, relay, at}]. */
  moves = [];
  #agent;
  #maxActive;
  #relays;
  #services;
  #on;
  /** Every lane so far, by key. */
  #lanes = new Map();
  /** The agent restarted, and not every service has reported its relays yet. */
  #isNew = false;
  /** Until when a relay may still keep leases of an agent that could not close them. */
  #leftAt = new Map();

  /**
   * `relays` are names by URL. `laneOf` creates a lane from a lease event. `open` gets each lane that visitors may
   * use, `shut` each lane that they must no longer use.
   */
  constructor({ agent, relays, services, maxActive, laneOf, open, shut }) {
    this.#agent = agent;
    this.#relays = relays;
    this.#services = services;
    this.#maxActive = maxActive;
    this.#on = { laneOf, open, shut };
  }

  get name() {
    return this.#agent.name;
  }

  /** Names of the relays that it uses now. */
  get active() {
    const open = [...this.#lanes.values()].filter(({ isOpen }) => isOpen);
    return [...new Set(open.map(({ relays: [relay] }) => relay))];
  }

  /** When the services last moved away from `relay`. Undefined while they use it. */
  leftAt(relay) {
    return this.active.includes(relay) ? undefined : this.#leftAt.get(relay);
  }

  /** How many leases it has on a relay, of all kinds or of one. */
  leasesOf(kind) {
    return this.#services.filter((one) => kind === undefined || one.lease === kind).length;
  }

  started() {
    this.#isNew = true;
  }

  /** Handles a change of a lease. */
  phase(lease) {
    const { service, relay: url, phase } = lease;
    const key = `${service} ${url}`;
    if (phase === 'ready') this.#open(key, lease);
    if (phase === 'draining' || phase === 'closed') this.#shut(this.#lanes.get(key));
    if (!this.#isNew || this.problem() !== undefined) return;
    this.#isNew = false;
    for (const [one, { isOpen }] of this.#lanes)
      if (isOpen && !this.#isReady(...one.split(' '))) this.#shut(this.#lanes.get(one));
  }

  /**
   * Why the services are not in the expected state. Undefined when each service is ready on the configured number of
   * relays.
   */
  problem() {
    for (const { service } of this.#services) {
      const on = [...this.#relays.keys()].filter((url) => this.#isReady(service, url)).length;
      if (on !== this.#maxActive) return `${service} is ready on ${on} of ${this.#maxActive} relays`;
    }
    return undefined;
  }

  #isReady(service, url) {
    return this.#agent.phaseOf(service, url) === 'ready';
  }

  #open(key, lease) {
    if (!this.#lanes.has(key)) this.#lanes.set(key, this.#on.laneOf(lease));
    const lane = this.#lanes.get(key);
    if (lane.isOpen) return;
    Object.assign(lane, { isOpen: true, openedAt: now() });
    this.#on.open(lane);
  }

  #shut(lane) {
    if (!lane?.isOpen) return;
    const [relay] = lane.relays;
    const left = this.#leftAt.get(relay);
    // All services move away from a relay together.
    const isFirst = left === undefined || now() - left > 1_000;
    lane.isOpen = false;
    this.#on.shut(lane);
    if (isFirst) this.moves.push({ agent: this.name, relay, at: now() });
    this.#leftAt.set(relay, now());
  }
}
