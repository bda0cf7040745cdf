import { open } from 'node:fs/promises';
import { isLoopback, isThisMachine, type Target } from './target.js';
import { udpTableKey as tableKey } from './udp-overruns.js';

export type Transport = 'tcp' | 'udp';

/** Listening sockets come first in the TCP table. The UDP table is rarely longer than this. */
const READ_BYTES = 256 * 1024;
/** The kernel's state number of a socket that accepts connections or datagrams. */
const OPEN: Readonly<Record<Transport, string>> = { tcp: '0A', udp: '07' };

/**
 * Whether a service listens at `target`, without a connection that it would see. Undefined on other machines and on
 * systems other than Linux.
 */
export async function isListening(target: Target, transport: Transport): Promise<boolean | undefined> {
  if (target.kind !== 'tcp' || !isLoopback(target.host)) return undefined;
  const tables = await Promise.all(['', '6'].map((family) => readStart(`/proc/net/${transport}${family}`)));
  if (tables.every((table) => table === undefined)) return undefined;
  const wanted = new Set(placesOf(target.host).map((address) => tableKey(address, target.port)));
  return tables.some((table = '') => openSockets(table, transport).some((local) => wanted.has(local)));
}

/** Local addresses and ports of sockets that accept connections or datagrams. */
export function openSockets(table: string, transport: Transport): string[] {
  return table.split('\n').flatMap((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return local !== undefined && state === OPEN[transport] ? [local] : [];
  });
}

/** Local addresses whose sockets receive what is sent to `host`. */
function placesOf(host: string): string[] {
  const addresses = isThisMachine(host) ? ['127.0.0.1', '::1'] : [host];
  const mapped = addresses.filter((each) => !each.includes(':')).map((each) => `::ffff:${each}`);
  return [...addresses, ...mapped, '0.0.0.0', '::'];
}

async function readStart(file: string): Promise<string | undefined> {
  try {
    const handle = await open(file);
    try {
      return await readAll(handle);
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}

/** The kernel returns one page per read. */
async function readAll(handle: Awaited<ReturnType<typeof open>>): Promise<string> {
  const buffer = Buffer.alloc(READ_BYTES);
  let length = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, length, READ_BYTES - length);
    length += bytesRead;
    if (bytesRead === 0 || length === READ_BYTES) return buffer.toString('latin1', 0, length);
  }
}
