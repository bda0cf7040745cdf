import { createServer, type Server } from 'node:net';
import {
  bindOnAllHosts,
  claimShared,
  isTaken,
  listen,
  listenHosts,
  takingOver,
  type Listening,
} from '../public-port/listen.js';
import type { RelayOptions } from '../options.js';

/** Where the workers of a relay listen. */

/** A port that is free for TCP may be in use for UDP. */
const MAX_ANY_PORT_TRIES = 32;

type Asked = Pick<RelayOptions, 'host' | 'port' | 'socket' | 'takeOver' | 'ports'>;

/**
 * Waits until the address is free, and finds a free port for port 0. The workers open it later, because a process that listens
 * also accepts. With shared sockets, claims them for this relay. Throws `address_in_use`.
 */
export async function findAddress(options: Asked): Promise<Pick<RelayOptions, 'host' | 'port'>> {
  const { socket, takeOver, port } = options;
  const at = { hosts: listenHosts([options.host].flat()), port };
  if (socket) {
    await takingOver(() => claimShared(socket), at, takeOver);
    return options;
  }
  for (let tries = 1; ; tries++) {
    const found = await listen(passingServer, at, takeOver);
    const isUsable = port !== 0 || tries === MAX_ANY_PORT_TRIES || (await isFreeForUdp(found, options));
    await Promise.all(found.servers.map(closed));
    if (isUsable) return { host: found.hosts.map(({ host }) => host), port: found.port };
  }
}

const passingServer = (): Server => createServer((socket) => socket.destroy());

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

async function isFreeForUdp({ hosts, port }: Listening, { ports }: Asked): Promise<boolean> {
  if (!ports?.udp) return true;
  try {
    for (const socket of await bindOnAllHosts(hosts, port)) socket.close();
    return true;
  } catch (error) {
    if (isTaken(error)) return false;
    throw error;
  }
}
