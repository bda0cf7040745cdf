import { pathToFileURL } from 'node:url';

/** Recorded histories of `npm run chaos -- --cluster` (chaos/cluster/history.mjs), and what its checks find in them. */

interface Violation {
  readonly promise: string;
}
export type Entry = Record<string, unknown>;
export interface History {
  faults: Entry[];
  requests: Entry[];
  streams: Entry[];
  moved: Entry[];
  changes: Entry[];
  leases: Entry[];
  logs: Entry[];
  entries: Entry[];
  delays: Entry[];
}

/** A module of chaos/cluster. */
export async function loadCluster<T>(file: string): Promise<T> {
  // Imported through a variable, because these files are not TypeScript.
  return (await import(pathToFileURL(`chaos/cluster/${file}`).href)) as T;
}

const { checkAll } = await loadCluster<{
  checkAll: (this: void, history: History, context: object) => { violations: Violation[] };
}>('checks/all.mjs');
export const [ALICE, BOB, CAROL] = ['0xA', '0xB', '0xC'];
export const START = 1_000_000;
const LANES = [
  { id: 'web@lb', name: 'web', agents: ['a1'] },
  { id: 'web@n1', name: 'web', agents: ['a1'], at: 'n1' },
  { id: 'both@lb', name: 'both', agents: ['r1', 'r2'], policy: 'failover' },
  { id: 'all@lb', name: 'all', agents: ['r1', 'r2'], policy: 'spread' },
];

/** Alice's agent `a1` has `web` at node n1, and a visitor reaches it through n2. Nothing fails. */
function peaceful(): History {
  let id = 0;
  const change = (entry: Entry): Entry => ({ id: ++id, at: START, ...entry });
  return {
    faults: [],
    requests: [served({ at: START + 5_000 })],
    streams: [],
    moved: [],
    changes: [
      change({ what: 'nodes', op: 'INSERT', key: 'X1', owner: '10.0.0.1:7443', node: 'X1' }),
      change({ what: 'nodes', op: 'INSERT', key: 'X2', owner: '10.0.0.2:7443', node: 'X2' }),
      change({ what: 'leases', op: 'INSERT', key: 'web.relay.test', owner: ALICE, node: 'X1', number: 10 }),
      change({ what: 'reservations', op: 'INSERT', key: 'web', owner: ALICE, number: START }),
    ],
    leases: [{ at: START, agent: 'a1', service: 'web', name: 'web', phase: 'ready' }],
    logs: [],
    entries: [],
    delays: [],
  };
}

export const served = (entry: Entry): Entry & { at: number } => {
  const at = Number(entry['at']);
  return { lane: 'web@lb', name: 'web', port: 1, joinedAt: at + 20, end: at + 50, owner: 'a1', ...entry, at };
};
export const failed = (entry: Entry): Entry => ({
  ...served(entry),
  joinedAt: undefined,
  owner: undefined,
  error: 'ECONNRESET',
});
export const fault = (kind: string, target: unknown, from: number, until: number): Entry => ({
  id: '1.1',
  kind,
  target,
  injectedAt: from,
  healedAt: until,
  happenedAt: from,
  durationMs: until - from,
});
export const lease = (op: string, owner: string, number: number, at: number, node = 'X2'): Entry => ({
  at,
  what: 'leases',
  op,
  key: 'web.relay.test',
  owner,
  node,
  number,
});

/** The promises that the checks find broken in a peaceful history with this change. */
export function violationsOf(change: (history: History) => void, reservations?: Entry[]): string[] {
  const history = peaceful();
  change(history);
  const { violations } = checkAll(history, {
    actors: {
      agents: new Map([
        ['a1', ALICE],
        ['b1', BOB],
        ['r1', CAROL],
        ['r2', CAROL],
      ]),
      machines: new Map([
        ['10.0.0.1:7443', 'n1'],
        ['10.0.0.2:7443', 'n2'],
      ]),
      nodes: ['n1', 'n2'],
    },
    lanes: new Map(LANES.map((lane) => [lane.id, lane])),
    reservations: reservations ?? [{ name: 'web', address: ALICE, usedAt: START }],
  });
  return violations.map(({ promise }) => promise);
}
