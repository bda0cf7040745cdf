import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import type { Passed } from '../../src/agent/access/gate.js';
import type { Exchange } from '../../src/agent/modes/http/exchange/exchange.js';
import { OPEN } from '../../src/agent/modes/http/ask-gates.js';
import { deferred } from '../../src/lib/wait.js';
import { eventually } from '../support/eventually.js';
import { ask, askH2, connectTo, edge, h2Visitor, HOST } from '../support/http-edge.js';

/** Gates that need time, as those that ask another server do. */

/** A target that responds with the hash of the body. */
async function hashing(): Promise<{ port: number; requests: () => number }> {
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.once('end', () => response.end(hash.digest('hex')));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, requests: () => requests };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const slowly = async (exchange: Exchange): Promise<Passed> => {
  for (let i = 0; i < 3; i++) await nextTurn();
  return exchange;
};

it('loses no byte of a body that arrives while a gate decides', async () => {
  const target = await hashing();
  const at = await edge({ '/': target.port }, { gates: { ...OPEN, ask: slowly } });
  const body = Buffer.alloc(300_000, 'portal');
  const expected = createHash('sha256').update(body).digest('hex');
  expect(await ask(at, '/', { method: 'POST', body })).toMatchObject({ status: 200, body: expected });
  const visitor = await h2Visitor(at);
  expect(await askH2(visitor, { ':method': 'POST', ':path': '/' }, body)).toMatchObject({
    status: 200,
    body: expected,
  });
});

it('responds with 500, and not from the target, if a gate fails', async () => {
  const target = await hashing();
  const gates = { ...OPEN, ask: () => Promise.reject(new Error('the other server is down')) };
  const at = await edge({ '/': target.port }, { gates });
  const answer = await ask(at, '/', { headers: { accept: 'application/json' } });
  expect(answer).toMatchObject({ status: 500, body: expect.stringContaining('gate_failed') as string });
  expect(target.requests()).toBe(0);
});

it('sends nothing to the target for a visitor that disconnects while a gate decides', async () => {
  const target = await hashing();
  const asked = deferred<void>();
  const decision = deferred<void>();
  const gates = {
    ...OPEN,
    ask: (exchange: Exchange): Promise<Passed> => {
      asked.resolve();
      return decision.promise.then(() => exchange);
    },
  };
  const at = await edge({ '/': target.port }, { gates });
  const socket = await connectTo(at);
  socket.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  await asked.promise;
  socket.destroy();
  await eventually(() => expect(at.handler.traffic().visitors).toBe(0));
  decision.resolve();
  // A later request arrives alone.
  await ask(at, '/');
  expect(target.requests()).toBe(1);
});
