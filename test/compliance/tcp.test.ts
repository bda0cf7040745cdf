import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { askLine, converseLines, startLines } from './line-service.js';
import type { Place } from './mode.js';
import { complies } from './suite.js';

complies({
  mode: 'tcp',
  start: startLines,
  ask: async (place) => askLine(await open(place)),
  converse: async (place) => converseLines(await open(place)),
  whenDown: /ECONNRESET/,
  whenGone: /ECONNREFUSED|ECONNRESET|closed/,
  exceptions: {},
});

async function open({ address }: Place): Promise<Socket> {
  const socket = connect(Number(address.tcpAddr!.split(':')[1]), '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  return socket;
}
