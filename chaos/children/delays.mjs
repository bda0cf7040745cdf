import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { now } from '../lib/now.mjs';

/**
 * Measures how long processes wait for a CPU while they could run (Linux: the second number of /proc/PID/schedstat, of the main
 * thread). On {watch: {name: pid}} from standard input it watches these processes, too. Prints {at, forMs, delays: {name: ms}}
 * for each interval of `forMs`.
 */

const EVERY_MS = 250;
/** Less is not printed. */
const LEAST_MS = 0.5;

const watched = new Map();

function delayOf(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return undefined;
  }
}

createInterface({ input: process.stdin })
  .on('line', (text) => {
    for (const [name, pid] of Object.entries(JSON.parse(text).watch))
      watched.set(name, { pid, ms: delayOf(pid) ?? 0 });
  })
  .on('close', () => process.exit(0));

let before = now();
setInterval(() => {
  const at = now();
  const delays = {};
  for (const [name, entry] of watched) {
    const ms = delayOf(entry.pid);
    if (ms === undefined) continue;
    if (ms - entry.ms >= LEAST_MS) delays[name] = Math.round(ms - entry.ms);
    entry.ms = ms;
  }
  process.stdout.write(`${JSON.stringify({ at, forMs: Math.round(at - before), delays })}\n`);
  before = at;
}, EVERY_MS);
