import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { expect, it, onTestFinished, vi } from 'vitest';
import { openLocalCa } from '../../certificates/local-ca.js';
import { resetSocket } from './reset.js';

interface Side {
  readonly tcp: Socket;
  readonly tls: TLSSocket;
}

/** Both sides of a TLS connection, before its handshake. */
async function handshaking(maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<{ client: Side; server: Side }> {
  const folder = await mkdtemp(join(tmpdir(), 'portal-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const pair = await (await openLocalCa(folder)).issue(['localhost']);
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const near = connect({ port: (listener.address() as AddressInfo).port, host: '127.0.0.1' });
  const [far] = (await once(listener, 'connection')) as [Socket];
  const server = new TLSSocket(far, { isServer: true, ...pair });
  const client = connectTls({ socket: near, rejectUnauthorized: false, maxVersion });
  for (const socket of [near, far, server, client]) socket.on('error', () => undefined);
  onTestFinished(() => {
    near.destroy();
    far.destroy();
    listener.close();
  });
  return { client: { tcp: near, tls: client }, server: { tcp: far, tls: server } };
}

const TURNS: Record<string, (work: () => void) => void> = {
  'in the handler': (work) => work(),
  'in the next tick': (work) => process.nextTick(work),
  'in a promise': (work) => void Promise.resolve().then(work),
  'in the next turn': (work) => void setImmediate(work),
};
const CASES = (['TLSv1.2', 'TLSv1.3'] as const).flatMap((version) =>
  (['client', 'server'] as const).flatMap((side) =>
    Object.keys(TURNS).map((when) => ({ version, side, when })),
  ),
);

// Node crashes if the socket below a TLS session closes before the session in the turn in which the handshake ends.
it.each(CASES)(
  `Node ${process.versions.node} resets at the end of a handshake: $version, $side, $when`,
  async ({ version, side, when }) => {
    const { tcp, tls } = (await handshaking(version))[side];
    // Spies on the reset instead of checking what the peer sees: libuv reports bytes with an immediate reset as bytes
    // and a clean close.
    const reset = vi.spyOn(tcp, 'resetAndDestroy');
    const closed = Promise.all([once(tls, 'close'), once(tcp, 'close')]);
    tls.once('secure', () =>
      TURNS[when]!(() => {
        resetSocket(tls);
        // Callers may destroy a socket after its reset.
        tls.destroy();
      }),
    );
    await closed;
    expect(reset).toHaveBeenCalledOnce();
  },
);

// A target such as unix:/run/app.sock: Node refuses to reset such a socket, and throws.
it('closes a Unix socket, which cannot be reset', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'portal-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const listener = createServer().listen(join(folder, 'app.sock'));
  onTestFinished(() => void listener.close());
  await once(listener, 'listening');
  const near = connect(join(folder, 'app.sock'));
  const [[far]] = (await Promise.all([once(listener, 'connection'), once(near, 'connect')])) as [
    [Socket],
    unknown,
  ];
  far.on('error', () => undefined).resume();
  const closed = Promise.all([once(near, 'close'), once(far, 'close')]);
  resetSocket(near);
  await expect(closed).resolves.toHaveLength(2);
});
