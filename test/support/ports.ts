import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** Below the ports that systems assign automatically, so that no other process gets one of these by chance. */
const [FROM, TO] = [10_000, 32_000];

/** A port that is free on both loopback addresses, for TCP and UDP. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port!;
}

/** Consecutive ports of that kind. */
export async function freePorts(count: number): Promise<number[]> {
  for (;;) {
    const first = randomInt(FROM, TO);
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return ports;
  }
}

async function isFree(port: number): Promise<boolean> {
  const tries = ['127.0.0.1', '::1'].flatMap((host) => [tcp(port, host), udp(port, host)]);
  return !(await Promise.all(tries)).includes('EADDRINUSE');
}

/** Resolves with the error's code, once nothing listens there. */
function tcp(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
    server.listen({ port, host, ipv6Only: true }, () => server.close(() => resolve(undefined)));
  });
}

function udp(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(host === '::1' ? { type: 'udp6', ipv6Only: true } : { type: 'udp4' });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      socket.close();
      resolve(code);
    });
    socket.bind(port, host, () => socket.close(() => resolve(undefined)));
  });
}
