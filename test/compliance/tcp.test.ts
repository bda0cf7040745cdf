import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Conversation, LocalService, Place } from './mode.js';
import { complies } from './suite.js';

complies({
  mode: 'tcp',
  start,
  ask,
  converse,
  whenDown: /ECONNRESET/,
  whenGone: /ECONNREFUSED|ECONNRESET|closed/,
  exceptions: {},
});

/** A line is answered with a line; an empty one with the name alone. */
async function start(name: string, port = 0): Promise<LocalService> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      const text = chunk.toString().trimEnd();
      socket.write(text === '' ? name : `${name}:${text}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  onTestFinished(stop);
  return { port: (server.address() as AddressInfo).port, stop };
}

async function open({ address }: Place): Promise<Socket> {
  const socket = connect(Number(address.tcpAddr!.split(':')[1]), '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  return socket;
}

async function ask(place: Place): Promise<string> {
  const { say, end } = await converse(place);
  const answer = await say('');
  await end();
  return answer;
}

async function converse(place: Place): Promise<Conversation> {
  const socket = await open(place);
  let failure = 'closed';
  socket.on('error', ({ message }) => (failure = message));
  const ended = new Promise((resolve) => socket.once('close', resolve));
  const closed = ended.then(() => Promise.reject(new Error(failure)));
  closed.catch(() => undefined);
  return {
    async say(text) {
      socket.write(`${text}\n`);
      const [chunk] = (await Promise.race([once(socket, 'data'), closed])) as [Buffer];
      return chunk.toString();
    },
    async end() {
      socket.end();
      await ended;
    },
    ended,
  };
}
