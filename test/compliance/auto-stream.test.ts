import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { askLine, converseLines, startLines } from './line-service.js';
import type { Place } from './mode.js';
import { complies } from './suite.js';

complies({
  mode: 'auto',
  targets: ' with a target that does not speak HTTP',
  decides: 'stream',
  start: startLines,
  ask: async (place) => askLine(await open(place)),
  converse: async (place) => converseLines(await open(place)),
  whenDown: /ECONNRESET|closed/,
  whenGone: /unrecognized name|ECONNRESET|ECONNREFUSED/,
  exceptions: {},
});

async function open({ address, ca }: Place): Promise<TLSSocket> {
  const { hostname, port } = new URL(address.url!);
  const socket = connect({
    host: '127.0.0.1',
    port: Number(port),
    servername: hostname,
    ca: ca.certificatePem,
  });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'secureConnect');
  socket.on('error', () => undefined);
  return socket;
}
