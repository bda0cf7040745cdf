import { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { ask, askWithin, callNode, type Nodes } from '../nodes/nodes.js';
import type { Agents } from './agents.js';
import {
  instancesOf,
  merge,
  observe,
  type Observation,
  type ObservedParts,
  type ObservedTraffic,
} from './observe.js';

/** How long all nodes may take to respond. A list of agents takes two rounds, and `portal agents` waits five seconds for it. */
const ROUND_MS = 2_000;

export interface EverywhereOptions extends ObservedParts {
  readonly nodes: Nodes;
  readonly log: Logger;
}

/** The agents of an identity at all nodes of the relay. */
export class AgentsEverywhere {
  readonly #options: EverywhereOptions;

  constructor(options: EverywhereOptions) {
    this.#options = options;
    const { nodes, agents, leases } = options;
    nodes.serve({
      observeAgents: (_from: string, identity: string) => observe(identity, options),
      agentTraffic: (_from: string, places: readonly string[]) => leases.elsewhere.traffic(places),
      agentInstances: (_from: string, identity: string, id: string) => instancesOf(identity, id, options),
      disconnectAgents: (_from: string, identity: string, instances: readonly string[], why: string) =>
        agents.disconnect(identity, instances, why),
      disconnectedAgents: () => agents.disconnected,
    });
  }

  /** Learns which agents may not reconnect. Call it before agents can connect to this node. */
  async start(): Promise<void> {
    const { nodes, agents } = this.#options;
    for (const node of nodes.others) {
      const known = (await ask(nodes, node, 'disconnectedAgents')) as Agents['disconnected'] | undefined;
      // Every node knows them.
      if (known) return agents.remember(known);
    }
  }

  async observe(identity: string): Promise<Observation & { readonly isWhole: boolean }> {
    const others = await this.#askAll<Observation>('observeAgents', identity);
    const own = observe(identity, this.#options);
    const merged = merge([own, ...others.filter((one) => one !== undefined)]);
    const isWhole = !others.includes(undefined);
    if (others.length === 0) return { ...own, isWhole };
    return { ...(await this.#withAllTraffic(merged)), isWhole };
  }

  /**
   * Disconnects an agent of `identity`: ends its sessions, its leases without grace, and their visitors. Its process cannot
   * reconnect. Throws `not_found`.
   */
  async disconnect(identity: string, id: string, by: string | undefined): Promise<void> {
    const { nodes, agents, log } = this.#options;
    const found = await this.#askAll<string[]>('agentInstances', identity, id);
    const instances = new Set([
      ...instancesOf(identity, id, this.#options),
      ...found.flatMap((some) => some ?? []),
    ]);
    if (instances.size === 0)
      throw new PortalError('not_found', 'your identity has no such agent on this relay');
    const why = `your identity disconnected this agent, signed in from ${by ?? 'elsewhere'} at ${new Date().toISOString()}; restart the agent to reconnect`;
    agents.disconnect(identity, [...instances], why);
    const calls = [...nodes.others].map((node) =>
      callNode(nodes, node, 'disconnectAgents', identity, [...instances], why),
    );
    await Promise.all(calls);
    log.info({ identity, agent: id, address: by }, 'agent disconnected by its identity');
  }

  /** Visitors of a lease may be at any node. */
  async #withAllTraffic({ processes, expected }: Observation): Promise<Observation> {
    const places = processes.flatMap(({ leases }) => leases.map(({ record }) => record.place));
    const { leases: own } = this.#options;
    const more = [
      own.elsewhere.traffic(places),
      ...(await this.#askAll<ReadonlyMap<string, ObservedTraffic>>('agentTraffic', places)),
    ];
    const sum = (place: string, traffic: ObservedTraffic): ObservedTraffic =>
      more.reduce((total, of) => added(total, of?.get(place)), traffic);
    return {
      expected,
      processes: processes.map((process) => ({
        ...process,
        leases: process.leases.map((lease) => ({
          ...lease,
          traffic: sum(lease.record.place, lease.traffic),
        })),
      })),
    };
  }

  /** The responses of all other nodes; undefined for one that did not respond. */
  #askAll<T>(method: string, ...args: readonly unknown[]): Promise<(T | undefined)[]> {
    const { nodes } = this.#options;
    const asked = [...nodes.others].map((node) => askWithin(ROUND_MS, nodes, node, method, ...args));
    return Promise.all(asked) as Promise<(T | undefined)[]>;
  }
}

function added(total: ObservedTraffic, more: ObservedTraffic | undefined): ObservedTraffic {
  if (!more) return total;
  return {
    visitors: total.visitors + more.visitors,
    bytesIn: total.bytesIn + more.bytesIn,
    bytesOut: total.bytesOut + more.bytesOut,
  };
}
