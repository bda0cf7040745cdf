import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Conversation, LocalService } from './mode.js';

/** Shared by the modes tcp and auto: a line-based service, and its visitors. */

/** Answers a line with a line, and an empty line with the name only. */
export async function startLines(name: string, port = 0): Promise<LocalService> {
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

/** A visitor sends an empty line as its question. */
export async function askLine(socket: Socket): Promise<string> {
  const { say, end } = converseLines(socket);
  const answer = await say('');
  await end();
  return answer;
}

export function converseLines(socket: Socket): Conversation {
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
