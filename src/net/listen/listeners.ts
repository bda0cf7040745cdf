import { setImmediate as nextTurn } from 'node:timers/promises';
import { readSystemTable } from '../system-tables.js';
import { isLoopback, isThisMachine, type Target } from '../target/target.js';
import { udpTableKey as tableKey } from '../datagrams/udp-overruns.js';

export type Transport = 'tcp' | 'udp';

/** Listening sockets come first in the TCP table. The UDP table is rarely longer than this. */
const MAX_BYTES = 256 * 1024;
/** A row's number, local address, remote address and state. */
const ROW = /^ *\d+: ([0-9A-F]+:[0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /gm;
/** The kernel's state number of a socket that accepts connections or datagrams. */
const OPEN: Readonly<Record<Transport, string>> = { tcp: '0A', udp: '07' };

/** Reads that have not begun. Checks that start in the same turn share one: `up` starts one for each service. */
const reads = new Map<Transport, Promise<ReadonlySet<string> | undefined>>();

/**
 * Whether a service listens at `target`, without a connection that it would see. Undefined on other machines and on
 * systems other than Linux.
 */
export async function isListening(target: Target, transport: Transport): Promise<boolean | undefined> {
  if (target.kind !== 'tcp' || !isLoopback(target.host)) return undefined;
  let read = reads.get(transport);
  if (!read) {
    read = nextTurn().then(() => {
      reads.delete(transport);
      return readTables(transport);
    });
    reads.set(transport, read);
  }
  const listening = await read;
  return listening && placesOf(target.host).some((address) => listening.has(tableKey(address, target.port)));
}

/** Local addresses and ports of sockets that accept connections or datagrams. */
export function openSockets(table: string, transport: Transport): string[] {
  return [...table.matchAll(ROW)].flatMap(([, local, state]) => (state === OPEN[transport] ? [local!] : []));
}

/** Listening sockets come first in the TCP table. A row in another state ends them. */
function isPastListening(page: string): boolean {
  return [...page.matchAll(ROW)].at(-1)?.[2] !== OPEN.tcp;
}

/** Undefined on a system without tables. */
async function readTables(transport: Transport): Promise<ReadonlySet<string> | undefined> {
  const files = ['', '6'].map((family) => `/proc/net/${transport}${family}`);
  const isLast = transport === 'tcp' ? isPastListening : undefined;
  const reading = files.map((file) => readSystemTable(file, { isLast, maxBytes: MAX_BYTES }));
  const tables = (await Promise.all(reading)).filter((table) => table !== undefined);
  return tables.length === 0 ? undefined : new Set(tables.flatMap((table) => openSockets(table, transport)));
}

/** Local addresses whose sockets receive what is sent to `host`. */
function placesOf(host: string): string[] {
  const addresses = isThisMachine(host) ? ['127.0.0.1', '::1'] : [host];
  const mapped = addresses.filter((each) => !each.includes(':')).map((each) => `::ffff:${each}`);
  return [...addresses, ...mapped, '0.0.0.0', '::'];
}
