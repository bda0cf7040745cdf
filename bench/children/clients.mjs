import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { createInterface } from 'node:readline';
import { modulesOf } from '../lib/built.mjs';
import { options, tell } from './lib.mjs';

/**
 * Ordinary clients of a relay. A visitor connects every 100 ms, on a new connection. An agent with a new identity
 * connects and disconnects every 250 ms. A line on standard input requests the figures since the previous line. They
 * are printed after the last client was served or gave up.
 */

const { root, url, relayCaFile, port, servername, caFile } = options;
const { RelaySession } = await import(`${modulesOf(root)}/agent/session.js`);
const { generateIdentity } = await import(`${modulesOf(root)}/identity/keys.js`);

const VISIT_EVERY_MS = 100;
const JOIN_EVERY_MS = 250;
const GIVE_UP_MS = 30_000;
const LOOK_MS = 5;

const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
const endpoint = { url, ca: readFileSync(relayCaFile, 'utf8') };
const ca = readFileSync(caFile);

const fresh = () => ({ visits: [], visitsFailed: 0, joins: [], joinsFailed: 0, refused: 0, pending: 0 });
let figures = fresh();

function visit() {
  const mine = figures;
  const startedAt = performance.now();
  mine.pending++;
  let isOver = false;
  const over = (isServed) => {
    if (isOver) return;
    isOver = true;
    mine.pending--;
    if (isServed) mine.visits.push(performance.now() - startedAt);
    else mine.visitsFailed++;
  };
  const asked = request(
    {
      host: '127.0.0.1',
      port,
      servername,
      headers: { host: servername },
      ca,
      agent: false,
      timeout: GIVE_UP_MS,
    },
    (response) => {
      response.resume().once('end', () => over(response.statusCode === 200));
    },
  );
  asked.on('timeout', () => asked.destroy(new Error('timed out')));
  asked.on('error', () => over(false));
  asked.end();
}

function join() {
  const mine = figures;
  const startedAt = performance.now();
  const session = new RelaySession({
    resolve: async () => endpoint,
    identity: generateIdentity(),
    instance: randomUUID(),
    version: 'bench',
    log,
  });
  mine.pending++;
  let isRefused = false;
  const timer = setInterval(() => {
    const { state, error } = session.status();
    const tookMs = performance.now() - startedAt;
    if (error && !isRefused) {
      isRefused = true;
      mine.refused++;
    }
    if (state !== 'connected' && tookMs < GIVE_UP_MS) return;
    clearInterval(timer);
    mine.pending--;
    if (state === 'connected') mine.joins.push(tookMs);
    else mine.joinsFailed++;
    session.close();
  }, LOOK_MS);
}

setInterval(visit, VISIT_EVERY_MS);
setInterval(join, JOIN_EVERY_MS);
createInterface({ input: process.stdin }).on('line', () => {
  const asked = figures;
  figures = fresh();
  const timer = setInterval(() => {
    if (asked.pending > 0) return;
    clearInterval(timer);
    const { visitsFailed, joinsFailed, refused } = asked;
    tell({
      figures: {
        visits: spread(asked.visits),
        visitsFailed,
        joins: spread(asked.joins),
        joinsFailed,
        refused,
      },
    });
  }, LOOK_MS);
});
tell({ started: true });

function spread(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? null;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
}
