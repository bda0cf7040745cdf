import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { modulesOf } from '../lib/built.mjs';
import { options, tell } from './lib.mjs';

/**
 * Runs `count` agents, each with its own identity and no services. Reports when all are connected, and when all are
 * disconnected.
 */

const { root, url, caFile, count } = options;
const { RelaySession } = await import(`${modulesOf(root)}/agent/session.js`);
const { generateIdentity } = await import(`${modulesOf(root)}/identity/keys.js`);

const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
const endpoint = { url, ca: readFileSync(caFile, 'utf8') };
const sessions = Array.from(
  { length: count },
  () =>
    new RelaySession({
      resolve: async () => endpoint,
      identity: generateIdentity(),
      instance: randomUUID(),
      version: 'bench',
      log,
    }),
);

let last;
setInterval(() => {
  const connected = sessions.filter((session) => session.status().state === 'connected').length;
  if (connected === last || (connected > 0 && connected < count)) return;
  last = connected;
  tell({ connected });
}, 10);
