import { formatTarget, type Target } from '../../../../net/target/target.js';
import { retirementOf, type ServiceSpec } from '../../../spec.js';
import type { HttpLimits } from '../limits.js';
import { RouteTable } from '../routing/routes.js';
import { Upstream, type Protocols } from './upstream.js';

/** Owns the connections of a handler to its targets. A target keeps them when routes change, as long as a route leads there. */
export class Upstreams {
  readonly #limits: HttpLimits;
  readonly #protocols: Protocols;
  #present = new Map<string, Upstream>();
  /** Upstreams without a route, while requests of theirs are in progress. */
  readonly #former = new Set<Upstream>();

  constructor(limits: HttpLimits, protocols: Protocols) {
    this.#limits = limits;
    this.#protocols = protocols;
  }

  /** The routes of `spec`, with an upstream for each target. Upstreams that only earlier routes used retire. */
  routesOf(spec: ServiceSpec): RouteTable {
    const before = this.#present;
    const present = new Map<string, Upstream>();
    const table = new RouteTable(spec, (target) => {
      const key = keyOf(target, spec);
      const upstream = present.get(key) ?? before.get(key) ?? this.#open(target, spec);
      present.set(key, upstream);
      return upstream;
    });
    this.#present = present;
    // Requests in progress hold their upstream, which closes with the last one.
    for (const [key, former] of before) {
      if (present.has(key)) continue;
      former.close();
      this.#former.add(former);
    }
    const { ms } = retirementOf(spec);
    for (const former of this.#former) former.lasting.retire(ms);
    return table;
  }

  /** Requests and upgraded connections at former targets. */
  get retiring(): number {
    let users = 0;
    for (const former of this.#former) {
      if (former.users === 0) this.#former.delete(former);
      users += former.users;
    }
    return users;
  }

  /** No target is in use any more: ends event streams, and upgraded connections after `ms`. */
  retire(ms: number): void {
    for (const upstream of this.#present.values()) upstream.lasting.retire(ms);
  }

  destroy(): void {
    for (const upstream of this.#present.values()) upstream.destroy();
    this.#present.clear();
  }

  #open(target: Target, { targetTls }: ServiceSpec): Upstream {
    return new Upstream(target, targetTls, this.#limits, this.#protocols);
  }
}

const keyOf = (target: Target, { targetTls }: ServiceSpec): string =>
  `${formatTarget(target)} ${JSON.stringify(targetTls)}`;
