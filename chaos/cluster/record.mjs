import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { History } from './history.mjs';

/** The record of a run in a folder, so that it can be checked again. */

const CONTEXT = 'context.json';

/** Stores what the checks need beside the history: {actors, lanes, reservations}, as checkAll gets it. */
export function saveContext(folder, { actors, lanes, reservations }) {
  const context = {
    actors: { ...actors, agents: [...actors.agents], machines: [...actors.machines] },
    lanes: [...lanes.values()].map(({ id, name, agents, at, policy }) => ({ id, name, agents, at, policy })),
    reservations,
  };
  writeFileSync(join(folder, CONTEXT), JSON.stringify(context));
}

/** {recorded, context} of a folder that `--logs` wrote. */
export function loadRecord(folder) {
  const { actors, lanes, reservations } = JSON.parse(readFileSync(join(folder, CONTEXT), 'utf8'));
  const recorded = new History();
  for (const line of readFileSync(join(folder, 'history.jsonl'), 'utf8').split('\n').filter(Boolean)) {
    const { list, ...entry } = JSON.parse(line);
    recorded.add(list, entry);
  }
  recorded.sortChanges();
  return {
    recorded,
    context: {
      actors: { ...actors, agents: new Map(actors.agents), machines: new Map(actors.machines) },
      lanes: new Map(lanes.map((lane) => [lane.id, lane])),
      reservations,
    },
  };
}
