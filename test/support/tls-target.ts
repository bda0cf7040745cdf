import { connect, createServer as createTcp, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTls, type TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { openLocalCa, type LocalCa } from '../../src/certificates/local-ca.js';
import { temporaryFolder } from './folder.js';

/** A connection to a target that speaks TLS. */
export interface TlsConnection {
  /** Its end sends close_notify. */
  readonly tls: TLSSocket;
  /** The agent's TCP connection below TLS. Its end sends no close_notify. */
  readonly tcp: Socket;
}

let identity: ReturnType<LocalCa['issue']> | undefined;

/** A target with TLS that calls `onData` with all received bytes whenever more arrive. */
export async function tlsTarget(
  onData: (received: string, connection: TlsConnection) => void,
): Promise<{ port: number; to: string }> {
  // One certificate for the file, because creating keys is slow.
  identity ??= temporaryFolder().then(async (folder) => (await openLocalCa(folder)).issue(['localhost']));
  const certificate = await identity;
  const open = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    open.add(socket);
    return socket.on('error', () => undefined);
  };
  // A separate server terminates TLS, so a test can cut the connection between it and the agent without its
  // cooperation.
  const accepted = new Map<number, Socket>();
  const inner = createTls({ ...certificate, allowHalfOpen: true }, (tls) => {
    keep(tls);
    const tcp = accepted.get(tls.remotePort!)!;
    let received = '';
    tls.on('data', (chunk: Buffer) => onData((received += chunk.toString('latin1')), { tls, tcp }));
    tls.on('end', () => tls.end());
  });
  await listening(inner);
  const outer = createTcp({ allowHalfOpen: true }, (tcp) => {
    const socket = connect({ port: portOf(inner), host: '127.0.0.1', allowHalfOpen: true }, () => {
      accepted.set(socket.localPort!, tcp);
      keep(tcp).pipe(socket).pipe(tcp);
    });
    keep(socket);
  });
  await listening(outer);
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    for (const server of [inner, outer]) server.close();
  });
  const port = portOf(outer);
  return { port, to: `https://127.0.0.1:${port}` };
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

async function listening(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
}
