import { connect, type TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { openPrivate } from '../../src/cli/connect/open.js';
import type { Identity } from '../../src/identity/identity.js';
import { CONNECT_ALPN } from '../../src/protocol/limits.js';

/** Connects to a private service as `portal connect` does, and expects the agent of `owner`. */
export async function connectTo(
  at: { port: number },
  hostname: string,
  identity: Identity,
  owner: string,
): Promise<TLSSocket> {
  const { socket } = await openPrivate(
    { hostname, host: '127.0.0.1', port: at.port },
    {
      identity,
      purpose: 'connect',
      trust: (agent) => {
        if (agent !== owner) throw new Error(`the agent is ${agent}`);
      },
    },
  );
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** A TLS session with the agent, whose handshake of private access the test writes by hand. */
export async function rawSession(
  at: { port: number },
  hostname: string,
  maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3',
): Promise<TLSSocket> {
  const socket = connect({
    host: '127.0.0.1',
    port: at.port,
    servername: hostname,
    ALPNProtocols: [CONNECT_ALPN],
    rejectUnauthorized: false,
    maxVersion,
  });
  onTestFinished(() => void socket.destroy());
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve).on('error', reject);
  });
  return socket;
}
