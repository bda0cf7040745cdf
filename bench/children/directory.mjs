import { randomUUID } from 'node:crypto';
import { pick, randomFrom } from '../../scripts/fuzz/chance.mjs';
import { modulesOf } from '../lib/built.mjs';
import { EventQueue } from '../lib/simulation.mjs';
import { options, tell } from './lib.mjs';

/**
 * The directories of `nodes` nodes that know `names` leases, in one process and without sockets. The nodes are those of a
 * relay; the database is a map with the same order, epochs and notifications. Everything random follows from `seed`.
 */

const { root, nodes: count, names, churn, seed } = options;
const from = (path) => import(`${modulesOf(root)}/relay/${path}.js`);
const [{ PostgresDirectory }, { Changes }, { OtherNodes }, { LINK }] = await Promise.all([
  from('directory/postgres'),
  from('postgres/changes'),
  from('postgres/other-nodes'),
  from('postgres/link'),
]);

/** What docs/explanation/several-machines.md measured of PostgreSQL: 1,200 claims a second. */
const COMMIT_MS = 1_000 / 1_200;
/** How long a notification is on its way. */
const LATENCY_MS = [1, 5];
/** Agents of a node that ended connect elsewhere within this time. */
const RETURN_MS = 2_000;
const GRACE_MS = 30_000;

const random = randomFrom(seed);
const between = (low, high) => low + random() * (high - low);
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};
const heapMB = () => {
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed / 1e6;
};

let now = 0;
const later = new EventQueue();

/** The database: who has which place. A commit takes COMMIT_MS, and notifies all nodes in the order of commits. */
class Database {
  rows = new Map();
  beats = new Map();
  freeAt = 0;
  epoch = 0;
  xid = 100;
  messages = 0;
  bytes = 0;
  /** Undefined: notices go to `later`. */
  collect;

  /** Executes the statements of `relay/postgres/statements.ts` that a directory uses. */
  query = async (text, values) => {
    if (text.includes('INSERT INTO portal.leases')) {
      const [place, owner, node, record, by] = values;
      const row = { place, owner, node, epoch: String(++this.epoch), record };
      this.rows.set(place, row);
      this.notify({ type: 'lease', place, node, epoch: row.epoch, record, by });
      return [{ epoch: row.epoch }];
    }
    if (text.includes('DELETE FROM portal.leases WHERE place')) return [];
    throw new Error(`the simulation knows no statement ${text}`);
  };

  notify(change) {
    const text = JSON.stringify({ ...change, xid: String(++this.xid) });
    if (this.collect) return void this.collect.push(text);
    this.freeAt = Math.max(now, this.freeAt) + COMMIT_MS;
    for (const node of running())
      later.add(this.freeAt + node.latencyMs, () => {
        this.messages++;
        this.bytes += text.length;
        node.changes.notice(text);
      });
  }
}

class Node {
  latencyMs = between(...LATENCY_MS);
  isRunning = true;

  constructor(name) {
    this.name = name;
    database.beats.set(name, 0);
    this.others = new OtherNodes({ node: name, ttlMs: LINK.ttlMs, graceMs: GRACE_MS, now: () => now });
    const lifetime = { isCurrent: () => true, expire: () => undefined };
    const parts = { node: name, database, lifetime, others: this.others, onClosed: async () => undefined };
    this.directory = new PostgresDirectory(parts);
    this.directory.use({ live: true });
    this.changes = new Changes(this.directory);
  }

  /** Reads everything, as a node that starts. */
  load() {
    const beats = [...database.beats].map(([node, beat]) => ({ node, address: node, beat: String(beat) }));
    this.directory.load({ nodes: beats, lost: [], leases: [...database.rows.values()] });
  }

  /** Renews itself from now on, and notices nodes that do not. */
  renewEvery(phaseMs) {
    later.add(now + phaseMs, () => {
      if (!this.isRunning) return;
      database.beats.set(this.name, database.beats.get(this.name) + 1);
      const rows = [...database.beats].map(([node, beat]) => ({ node, address: node, beat: String(beat) }));
      for (const { node } of this.others.observe(rows))
        if (database.beats.delete(node)) database.notify({ type: 'left', node });
      this.renewEvery(LINK.renewMs);
    });
  }
}

const database = new Database();
const all = Array.from({ length: count }, (_, index) => new Node(`node-${index}`));
const running = () => all.filter(({ isRunning }) => isRunning);

/** A lease as an agent opens it. */
const claimOf = (index) => ({
  id: randomUUID(),
  place: `service-${index}.tunnel.example.com`,
  name: `service-${index}`,
  hostname: `service-${index}.tunnel.example.com`,
  isOwnDomain: false,
  kind: 'tls',
  owner: `0x${index.toString(16).padStart(40, '0')}`,
  instance: randomUUID(),
  session: randomUUID(),
  portHost: undefined,
  port: undefined,
  carrier: 'raw',
});

/** Lets the events of the simulation happen until `done`. */
async function until(done) {
  while (!done()) {
    const event = later.next();
    if (!event) throw new Error('no event is left');
    now = event.at;
    event.happen();
    // Lets the directory continue after what it waited for.
    if (later.isIdleUntil(now)) await new Promise(setImmediate);
  }
}

// The leases of a relay that has run for a while.
database.collect = [];
for (let index = 0; index < names; index++) {
  const { node: _, ...record } = claimOf(index);
  const { place, owner } = record;
  database.rows.set(place, {
    place,
    owner,
    node: pick(random, all).name,
    epoch: String(++database.epoch),
    record: JSON.stringify(record),
  });
}
const heapBefore = heapMB();
const cpuBefore = cpuMs();
for (const node of all) node.load();
const loadMs = (cpuMs() - cpuBefore) / count;
tell({ heapMB: (heapMB() - heapBefore) / count, loadMs, rssMB: process.memoryUsage().rss / 1e6 });

// Agents of one node open services again: what that costs each other node.
const [busy, ...others] = all;
for (let round = 0; round < 3; round++) {
  database.collect = [];
  const claims = Array.from({ length: churn }, (_, index) => busy.directory.claim(claimOf(index)));
  await new Promise(setImmediate);
  const texts = database.collect;
  const before = cpuMs();
  for (const node of others) for (const text of texts) node.changes.notice(text);
  const heardMs = cpuMs() - before;
  for (const text of texts) busy.changes.notice(text);
  await Promise.all(claims);
  const bytes = texts.reduce((sum, text) => sum + text.length, 0) / texts.length;
  tell({ hearUs: (1_000 * heardMs) / (texts.length * others.length), bytes });
}

// A node crashes. Its agents connect to others, and every node hears where.
database.collect = undefined;
for (const node of all) node.renewEvery(between(0, LINK.renewMs));
await until(() => now > 2 * LINK.renewMs);
const dead = all[1];
dead.isRunning = false;
const diedAt = now;
const places = [...database.rows.values()].filter(({ node }) => node === dead.name);
const missing = new Map(running().map((node) => [node, new Set(places.map(({ place }) => place))]));
for (const [node, left] of missing)
  node.directory.watch(({ place, record }) => {
    if (record && record.node !== dead.name && left.delete(place) && left.size === 0) node.foundAt = now;
  });
database.messages = database.bytes = 0;
const cpuAtDeath = cpuMs();
for (const { place } of places) {
  const index = Number(/\d+/.exec(place)[0]);
  later.add(now + between(0, RETURN_MS), () => void pick(random, running()).directory.claim(claimOf(index)));
}
await until(() => running().every(({ foundAt }) => foundAt !== undefined));
const { messages, bytes } = database;
const convergedMs = Math.max(...running().map(({ foundAt }) => foundAt)) - diedAt;
const knows = ({ others: known }) => [...known.names()].includes(dead.name);
await until(() => !running().some(knows));
tell({
  done: true,
  places: places.length,
  convergedMs,
  noticedMs: now - diedAt,
  messages,
  megabytes: bytes / 1e6,
  cpuMs: (cpuMs() - cpuAtDeath) / running().length,
});
process.exit(0);
