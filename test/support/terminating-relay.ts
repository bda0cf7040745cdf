import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect as tlsConnect, TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { readClientHello } from '../../src/net/tls/client-hello.js';

/** A device in front of a relay that reads the traffic. */
export interface Eavesdropper {
  readonly port: number;
  /**
   * Terminates visitors' TLS with this certificate from now on. `alpn`: the protocol that it speaks with both sides.
   * `respond` responds to visitors instead of the service.
   */
  terminate(
    certificate: { cert: string; key: string },
    alpn?: string,
    respond?: (visitor: TLSSocket) => void,
  ): void;
  /** Accepts visitors from now on, and does not respond. */
  hold(): void;
  /** Releases held visitors, and lets new ones pass. */
  release(): void;
  /** Everything visitors sent, decrypted. */
  readonly overheard: () => string;
}

/**
 * A relay that terminates TLS: an honest relay behind a device that terminates TLS for visitors of `hostname` with
 * its own certificate and forwards their bytes as a visitor. It passes everything through until the test enables
 * that.
 */
export async function eavesdropper(hostname: string, to: () => number): Promise<Eavesdropper> {
  const sockets = new Set<Socket>();
  let certificate: { cert: string; key: string } | undefined;
  let alpn: string | undefined;
  let respond: ((visitor: TLSSocket) => void) | undefined;
  let overheard = '';
  let held: (() => void)[] | undefined;
  const keep = <S extends Socket>(socket: S): S => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((near) => {
    keep(near).once('data', (head) => {
      near.pause();
      near.unshift(head);
      const hello = readClientHello(head);
      const isVisitor = hello.kind === 'hello' && hello.serverName === hostname;
      if (held && isVisitor) return void held.push(() => join(near, keep(connect(to(), '127.0.0.1'))));
      if (!certificate || !isVisitor) return join(near, keep(connect(to(), '127.0.0.1')));
      const ALPNProtocols = alpn === undefined ? undefined : { ALPNProtocols: [alpn] };
      const visitor = keep(new TLSSocket(near, { isServer: true, ...certificate, ...ALPNProtocols }));
      visitor.on('data', (chunk: Buffer) => (overheard += chunk.toString()));
      const answer = respond;
      if (answer) return void visitor.once('secure', () => answer(visitor));
      const onward = keep(
        tlsConnect({
          port: to(),
          host: '127.0.0.1',
          servername: hostname,
          rejectUnauthorized: false,
          ...ALPNProtocols,
        }),
      );
      join(visitor, onward);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    terminate: (next, protocol, responding) => {
      certificate = next;
      alpn = protocol;
      respond = responding;
    },
    hold: () => (held ??= []),
    release: () => {
      const waiting = held ?? [];
      held = undefined;
      for (const goOn of waiting) goOn();
    },
    overheard: () => overheard,
  };
}

function join(near: Socket, far: Socket): void {
  near.pipe(far).pipe(near);
  near.on('close', () => far.destroy());
  far.on('close', () => near.destroy());
}
