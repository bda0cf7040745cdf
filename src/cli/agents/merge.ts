import type { AgentsResponse, AgentView, NameView, ServiceView } from '../../protocol/agents.js';

/** One agent, merged from the responses of all relays. */
export interface MergedAgent extends Omit<AgentView, 'services'> {
  readonly services: readonly (ServiceView & { readonly relay: string })[];
  /** The relays that know the agent. */
  readonly relays: readonly string[];
}

export interface Merged {
  readonly agents: readonly MergedAgent[];
  readonly names: readonly (NameView & { readonly relay: string })[];
}

const RANK = { connected: 0, reconnecting: 1, disconnected: 2 } as const;

/** Merges agents by id, which is the same at every relay. Disconnected agents have no id, so it merges them by machine. */
export function mergeResponses(responses: readonly { relay: string; response: AgentsResponse }[]): Merged {
  const agents = new Map<string, MergedAgent>();
  for (const { relay, response } of responses)
    for (const { services, ...agent } of response.agents) {
      const key = `${agent.identity} ${agent.id ?? `disconnected ${agent.machine}`}`;
      const known = agents.get(key);
      const here = services.map((service) => ({ ...service, relay }));
      agents.set(key, {
        ...(known ? betterOf(known, agent) : agent),
        services: [...(known?.services ?? []), ...here],
        relays: [...(known?.relays ?? []), relay],
      });
    }
  const all = [...agents.values()];
  // A machine that disconnected from one relay may still be connected to another.
  const present = new Set(all.filter(({ state }) => state !== 'disconnected').map(placeOf));
  return {
    agents: all
      .filter((agent) => agent.state !== 'disconnected' || !present.has(placeOf(agent)))
      .toSorted(
        (a, b) =>
          Number(b.own) - Number(a.own) ||
          RANK[a.state] - RANK[b.state] ||
          (a.machine ?? '').localeCompare(b.machine ?? ''),
      ),
    names: responses
      .flatMap(({ relay, response }) => response.names.map((name) => ({ ...name, relay })))
      .toSorted((a, b) => a.name.localeCompare(b.name)),
  };
}

const placeOf = ({ identity, machine }: Pick<AgentView, 'identity' | 'machine'>): string =>
  `${identity} ${machine}`;

/** Prefers the relay where the agent is connected, then the one that saw it last. */
function betterOf(one: Omit<AgentView, 'services'>, other: Omit<AgentView, 'services'>) {
  const [best, rest] =
    RANK[other.state] < RANK[one.state] ||
    (other.state === one.state && Date.parse(other.lastSeen) > Date.parse(one.lastSeen))
      ? [other, one]
      : [one, other];
  const machine = best.machine ?? rest.machine;
  return { ...best, ...(machine !== undefined && { machine }) };
}
