import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as secure } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { tlsTarget, type TlsConnection } from '../../../test/support/tls-target.js';
import { endedUnannounced, watchEnd } from './close-notify.js';

// Without the Node internals that this needs, every end counts as announced. `npm run test:nodes` checks each Node
// version.

const END: Record<string, (connection: TlsConnection) => void> = {
  close_notify: ({ tls }) => void tls.end(),
  FIN: ({ tcp }) => void tcp.end(),
};
const CASES = (['TLSv1.2', 'TLSv1.3'] as const).flatMap((version) =>
  // The large size is more than a socket without a reader accepts: the socket stops reading, and the end queues
  // behind the data.
  [7, 500_000].flatMap((bytes) => Object.keys(END).map((end) => ({ version, bytes, end }))),
);

it.each(CASES)(
  `Node ${process.versions.node} distinguishes close_notify from FIN: $version, $end behind $bytes bytes`,
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
