/**
 * How long this machine kept processes waiting for a CPU (children/delays.mjs). A deadline does not count that time: other
 * programs on the machine take it, and it says nothing about the nodes.
 */
export class Starvation {
  #delays;
  #isNode;
  #isAgent;

  /** `delays`: [{at, forMs, delays: {name: ms}}]. `nodes` and `agents` are names. */
  constructor(delays, { nodes, agents }) {
    this.#delays = delays;
    this.#isNode = new Set(nodes);
    this.#isAgent = new Set(agents);
  }

  /**
   * How much later a visit between these moments may be, in milliseconds: the time that the visitor, the balancer, the two
   * most delayed nodes and the most delayed agent waited for a CPU.
   */
  between(from, until) {
    const sums = new Map();
    for (const { at, forMs, delays } of this.#delays) {
      if (at < from || at - forMs > until) continue;
      for (const [name, ms] of Object.entries(delays)) sums.set(name, (sums.get(name) ?? 0) + ms);
    }
    const most = (names, count) =>
      [...names]
        .map((name) => sums.get(name) ?? 0)
        .toSorted((one, other) => other - one)
        .slice(0, count)
        .reduce((sum, ms) => sum + ms, 0);
    return most(['visitors', 'balancer'], 2) + most(this.#isNode, 2) + most(this.#isAgent, 1);
  }

  /** How long one node waited for a CPU. */
  of(name, from, until) {
    return this.#delays
      .filter(({ at, forMs }) => at >= from && at - forMs <= until)
      .reduce((sum, { delays }) => sum + (delays[name] ?? 0), 0);
  }
}
