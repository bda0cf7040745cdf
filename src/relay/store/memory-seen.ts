import { LIMITS } from '../../protocol/limits.js';
import type { SeenAgent, SeenAgents } from './store.js';

/** The agents of a relay without a persistent store. Both maps have the oldest entry first. */
export class MemorySeenAgents implements SeenAgents {
  readonly #max: number;
  readonly #of = new Map<string, Map<string, SeenAgent>>();
  readonly #all = new Map<string, { identity: string; machine: string }>();

  constructor(max: number = LIMITS.maxSeenAgents) {
    this.#max = max;
  }

  async note(identity: string, agent: SeenAgent): Promise<void> {
    this.#forget(identity, agent.machine);
    let machines = this.#of.get(identity);
    if (!machines) this.#of.set(identity, (machines = new Map()));
    machines.set(agent.machine, { ...agent });
    this.#all.set(keyOf(identity, agent.machine), { identity, machine: agent.machine });
    const [oldest] = machines.keys();
    if (machines.size > LIMITS.maxSeenAgentsPerIdentity) this.#forget(identity, oldest!);
    const [first] = this.#all.values();
    if (this.#all.size > this.#max) this.#forget(first!.identity, first!.machine);
  }

  async of(identity: string, since: number): Promise<SeenAgent[]> {
    return [...(this.#of.get(identity)?.values() ?? [])]
      .filter(({ seenAt }) => seenAt > since)
      .toSorted((a, b) => b.seenAt - a.seenAt);
  }

  async forget(before: number): Promise<void> {
    for (const [identity, machines] of this.#of)
      for (const { machine, seenAt } of machines.values())
        if (seenAt < before) this.#forget(identity, machine);
  }

  #forget(identity: string, machine: string): void {
    const machines = this.#of.get(identity);
    machines?.delete(machine);
    if (machines?.size === 0) this.#of.delete(identity);
    this.#all.delete(keyOf(identity, machine));
  }
}

const keyOf = (identity: string, machine: string): string => `${identity} ${machine}`;
