import { createHash, randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { LocalCa } from '../../src/certificates/local-ca.js';
import { httpService, readAll, visit } from './world.js';

const MAX_BODY = 30_000;

export const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** A service that responds with the path and the hash of the visitor's body. */
export const hashService = () =>
  httpService((request, response) => {
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.on('end', () => response.end(`${request.url} ${hash.digest('hex')}`));
  });

/** One request with a body on a new connection. Returns the body of the response. */
async function post(at: { port: number }, ca: LocalCa, path: string, body: Buffer): Promise<string> {
  const socket = await visit(at, 'web.localhost', ca);
  const read = readAll(socket);
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: web.localhost\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  socket.write(body);
  const text = (await read).toString();
  return text.slice(text.indexOf('\r\n\r\n') + 4);
}

/**
 * Concurrent visitors of `web.localhost`, a hash service. Each of `lines` sends `count` bodies, one after another, where `at` says.
 * Each must get the response to its own body.
 */
export async function visitAtOnce(
  lines: number,
  count: number,
  at: () => { port: number },
  ca: LocalCa,
): Promise<void> {
  const line = async (name: number): Promise<void> => {
    for (let number = 0; number < count; number++) {
      const body = randomBytes(1 + Math.floor(Math.random() * MAX_BODY));
      const path = `/${name}/${number}`;
      expect(await post(at(), ca, path, body)).toContain(`${path} ${digest(body)}`);
    }
  };
  await Promise.all(Array.from({ length: lines }, (_, name) => line(name)));
}
