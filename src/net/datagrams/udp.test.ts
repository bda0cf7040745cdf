import { createSocket } from 'node:dgram';
import { expect, it, onTestFinished } from 'vitest';
import { UdpSocket } from './udp.js';

it('drops datagrams from port 0, because a reply to it would throw', async () => {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const udp = new UdpSocket(socket);
  onTestFinished(() => udp.close());
  const taken: number[] = [];
  udp.onMessage((payload, { port, address }) => {
    taken.push(port);
    udp.send(payload, port, address);
  });
  // Imitates a forged datagram, because only a raw socket can send one.
  const from = { address: '127.0.0.1', family: 'IPv4', size: 1 };
  socket.emit('message', Buffer.from('x'), { ...from, port: 0 });
  socket.emit('message', Buffer.from('x'), { ...from, port: 9 });
  expect(taken).toEqual([9]);
});
