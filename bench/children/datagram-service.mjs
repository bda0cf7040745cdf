import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { growBuffers, KIND } from './datagrams.mjs';
import { options, tell } from './lib.mjs';

/** Echoes every ping and counts other datagrams by run. Reports the count on request from standard input. */

const received = new Map();
const socket = createSocket('udp4');
socket.on('error', () => undefined);
socket.on('message', (payload, { address, port }) => {
  if (payload[0] === KIND.ping) return socket.send(payload, port, address);
  const run = payload.readUInt32BE(1);
  received.set(run, (received.get(run) ?? 0) + 1);
});
socket.bind({ address: options.host, port: 0 }, () => {
  growBuffers(socket);
  tell({ port: socket.address().port });
});
createInterface({ input: process.stdin }).on('line', (line) => {
  const { run } = JSON.parse(line);
  tell({ run, received: received.get(run) ?? 0 });
});
