import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import ipaddr from 'ipaddr.js';
import { readSystemTable } from '../system-tables.js';

/**
 * Counts datagrams that the system dropped because a socket's receive buffer was full. Nothing else reports them. Linux
 * counts them per socket in /proc/net/udp and udp6. Other systems have no count.
 */

const FILES = ['/proc/net/udp', '/proc/net/udp6'];
const CHECK_EVERY_MS = 10_000;
/** Columns of a row, separated by white space: `local_address` and, last, `drops`. */
const LOCAL = 1;
const DROPS = 12;

/** Drops so far by local address and port, in the notation of these files. */
export function parseUdpTable(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split('\n').slice(1)) {
    const columns = line.trim().split(/\s+/);
    const [local, drops] = [columns[LOCAL], Number(columns[DROPS])];
    if (local !== undefined && drops > 0) found.set(local, (found.get(local) ?? 0) + drops);
  }
  return found;
}

/** A local address in the notation of these files: its 32-bit words in the machine's byte order, in hex. */
export function udpTableKey(address: string, port: number): string {
  const bytes = ipaddr.parse(address.split('%', 1)[0]!).toByteArray();
  const words: string[] = [];
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4);
    if (endianness() === 'LE') word.reverse();
    words.push(Buffer.from(word).toString('hex').toUpperCase());
  }
  return `${words.join('')}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

interface Watched {
  seen: number;
  readonly report: (count: number) => void;
}

const watched = new Map<string, Watched>();
let timer: NodeJS.Timeout | undefined;

/** Calls `report` periodically with the number of new drops. Returns a function that stops the watch. */
export function watchOverruns(address: string, port: number, report: (count: number) => void): () => void {
  const key = udpTableKey(address, port);
  const entry: Watched = { seen: 0, report };
  watched.set(key, entry);
  timer ??= setInterval(() => void check(), CHECK_EVERY_MS).unref();
  return () => {
    if (watched.get(key) === entry) watched.delete(key);
    if (watched.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** Counts immediately, before the counts are read. */
export function countOverruns(): void {
  if (watched.size === 0) return;
  for (const file of FILES) {
    try {
      note(readFileSync(file, 'utf8'));
    } catch {
      // Not Linux, or no IPv6.
    }
  }
}

async function check(): Promise<void> {
  for (const file of FILES) note((await readSystemTable(file)) ?? '');
}

function note(text: string): void {
  for (const [key, drops] of parseUdpTable(text)) {
    const entry = watched.get(key);
    if (!entry || drops <= entry.seen) continue;
    const more = drops - entry.seen;
    entry.seen = drops;
    entry.report(more);
  }
}
