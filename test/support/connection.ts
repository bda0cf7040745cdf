import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket, type TcpNetConnectOpts } from 'node:net';
import { onTestFinished } from 'vitest';

/** Both ends of one TCP connection. They are closed when the test has finished. */
export async function connection(
  options: { highWaterMark?: number } = {},
): Promise<[near: Socket, far: Socket]> {
  const server = createServer({ allowHalfOpen: true, ...options });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const to: TcpNetConnectOpts = { port, host: '127.0.0.1', allowHalfOpen: true, ...options };
  const near = connect(to);
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [
    [Socket],
    unknown,
  ];
  for (const socket of [near, far]) socket.on('error', () => undefined);
  onTestFinished(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return [near, far];
}
