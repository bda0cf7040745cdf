import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, TLSSocket, type SecureVersion } from 'node:tls';
import { onTestFinished } from 'vitest';
import { readClientHello } from '../../src/net/tls/client-hello.js';
import type { TestRelay } from './world.js';

export interface DataMiddleman {
  /** Request lines from agents, each with the status of the relay's response to the unchanged copy. */
  readonly forwarded: { request: string; status: string }[];
  /** TLS sessions that agents began with the middleman. */
  readonly sessions: () => number;
}

/**
 * A middleman on `port` in front of `real`, which forwards the control channel unchanged: the first connection to the
 * relay's own name. It terminates TLS of all later connections, with a certificate that agents trust, and forwards
 * their bytes to the relay on a new connection.
 */
export async function dataMiddleman(
  real: TestRelay,
  port: number,
  maxVersion: SecureVersion = 'TLSv1.3',
): Promise<DataMiddleman> {
  const forwarded: DataMiddleman['forwarded'] = [];
  const secureContext = createSecureContext({ ...(await real.ca.issue(['localhost'])), maxVersion });
  const sockets = new Set<Socket>();
  let isControl = true;
  let sessions = 0;
  const keep = <S extends Socket>(socket: S): S => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    return socket;
  };
  const attack = (near: Socket): void => {
    sessions++;
    const agent = keep(new TLSSocket(near, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] }));
    agent.once('data', (head: Buffer) => {
      agent.pause();
      const far = keep(
        connectTls({
          host: '127.0.0.1',
          port: real.port,
          servername: 'localhost',
          ca: real.ca.certificatePem,
        }),
      );
      far.write(head);
      far.once('data', (answer: Buffer) => {
        forwarded.push({
          request: head.toString().split('\r\n', 1)[0]!,
          status: answer.toString().slice(9, 12),
        });
        agent.write(answer);
        join(agent, far);
      });
    });
  };
  const server = createServer((near) => {
    keep(near).once('data', (head) => {
      near.pause();
      near.unshift(head);
      const hello = readClientHello(head);
      const isToRelay = hello.kind === 'hello' && hello.serverName === 'localhost';
      if (isToRelay && !isControl) return attack(near);
      if (isToRelay) isControl = false;
      join(near, keep(connect(real.port, '127.0.0.1')));
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { forwarded, sessions: () => sessions };
}

function join(near: Socket, far: Socket): void {
  near.pipe(far).pipe(near);
  near.on('close', () => far.destroy());
  far.on('close', () => near.destroy());
}
