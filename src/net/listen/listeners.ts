import { open } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isLoopback, isThisMachine, type Target } from '../target/target.js';
import { udpTableKey as tableKey } from '../datagrams/udp-overruns.js';

export type Transport = 'tcp' | 'udp';

/** Listening sockets come first in the TCP table. The UDP table is rarely longer than this. */
const READ_BYTES = 256 * 1024;
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

/** Undefined on a system without tables. */
async function readTables(transport: Transport): Promise<ReadonlySet<string> | undefined> {
  const files = ['', '6'].map((family) => `/proc/net/${transport}${family}`);
  const tables = (await Promise.all(files.map((file) => readStart(file, transport)))).filter(
    (table) => table !== undefined,
  );
  return tables.length === 0 ? undefined : new Set(tables.flatMap((table) => openSockets(table, transport)));
}

/** Local addresses whose sockets receive what is sent to `host`. */
function placesOf(host: string): string[] {
  const addresses = isThisMachine(host) ? ['127.0.0.1', '::1'] : [host];
  const mapped = addresses.filter((each) => !each.includes(':')).map((each) => `::ffff:${each}`);
  return [...addresses, ...mapped, '0.0.0.0', '::'];
}

async function readStart(file: string, transport: Transport): Promise<string | undefined> {
  try {
    const handle = await open(file);
    try {
      return await readRows(handle, transport);
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}

/** The kernel returns one page per read. In the TCP table, a row in another state ends the listening ones. */
async function readRows(handle: Awaited<ReturnType<typeof open>>, transport: Transport): Promise<string> {
  const buffer = Buffer.alloc(READ_BYTES);
  let length = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, length, READ_BYTES - length);
    const page = buffer.toString('latin1', length, length + bytesRead);
    length += bytesRead;
    const isPast = transport === 'tcp' && [...page.matchAll(ROW)].at(-1)?.[2] !== OPEN.tcp;
    if (bytesRead === 0 || isPast || length === READ_BYTES) return buffer.toString('latin1', 0, length);
  }
}
