import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as secure } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { tlsTarget, type TlsConnection } from '../../test/support/tls-target.js';
import { endedUnannounced, watchEnd } from './close-notify.js';

// Without what this needs inside of Node, an end counts as announced. `npm run test:nodes` asks each Node.

const END: Record<string, (connection: TlsConnection) => void> = {
  close_notify: ({ tls }) => void tls.end(),
  FIN: ({ tcp }) => void tcp.end(),
};
const CASES = (['TLSv1.2', 'TLSv1.3'] as const).flatMap((version) =>
  // The many are more than a socket takes that has no reader: it stops reading, and the end waits behind them.
  [7, 500_000].flatMap((bytes) => Object.keys(END).map((end) => ({ version, bytes, end }))),
);

it.each(CASES)(
  `Node ${process.versions.node} tells close_notify from FIN: $version, $end behind $bytes bytes`,
  async ({ version, bytes, end }) => {
    let asked: TlsConnection | undefined;
    const { port } = await tlsTarget((_received, connection) => {
      asked = connection;
      connection.tls.write(Buffer.alloc(bytes));
    });
    const plain = connect({ port, host: '127.0.0.1' });
    await once(plain, 'connect');
    const socket = secure({ socket: plain, rejectUnauthorized: false, maxVersion: version });
    onTestFinished(() => void socket.destroy());
    await once(socket, 'secureConnect');
    watchEnd(socket);
    socket.write('x');
    await expect.poll(() => socket.readableLength).toBeGreaterThan(0);
    END[end]!(asked!);
    socket.resume();
    await once(socket, 'end');
    expect(endedUnannounced(socket)).toBe(end === 'FIN');
  },
);
