import { open } from 'node:fs/promises';
import { isLoopback, isThisMachine, type Target } from './target.js';
import { udpTableKey as tableKey } from './udp-overruns.js';

export type Transport = 'tcp' | 'udp';

/** Sockets that listen stand first in the table of TCP; the one of UDP is rarely longer. */
const READ_BYTES = 256 * 1024;
/** State of a socket that takes whatever comes, by the kernel's numbers. */
const OPEN: Readonly<Record<Transport, string>> = { tcp: '0A', udp: '07' };

/**
 * Whether something listens where `target` leads, without a connection that the service would see. Undefined where the system
 * does not tell: on another machine, or on other systems than Linux.
 */
export async function isListening(target: Target, transport: Transport): Promise<boolean | undefined> {
  if (target.kind !== 'tcp' || !isLoopback(target.host)) return undefined;
  const tables = await Promise.all(['', '6'].map((family) => readStart(`/proc/net/${transport}${family}`)));
  if (tables.every((table) => table === undefined)) return undefined;
  const wanted = new Set(placesOf(target.host).map((address) => tableKey(address, target.port)));
  return tables.some((table = '') => openSockets(table, transport).some((local) => wanted.has(local)));
}

/** Local addresses and ports of sockets that take whatever comes. */
export function openSockets(table: string, transport: Transport): string[] {
  return table.split('\n').flatMap((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return local !== undefined && state === OPEN[transport] ? [local] : [];
  });
}

/** Local addresses of which a socket takes what is sent to `host`. */
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

/** The kernel hands out a page at a time. */
async function readAll(handle: Awaited<ReturnType<typeof open>>): Promise<string> {
  const buffer = Buffer.alloc(READ_BYTES);
  let length = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, length, READ_BYTES - length);
    length += bytesRead;
    if (bytesRead === 0 || length === READ_BYTES) return buffer.toString('latin1', 0, length);
  }
}
