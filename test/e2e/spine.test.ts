import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  agent,
  desired,
  get,
  httpService,
  readAll,
  relay,
  service,
  tcpService,
  visit,
} from '../support/world.js';

describe('a service through a relay', () => {
  it('responds to a visitor with the bytes of the local service', async () => {
    const at = await relay();
    const { port } = await httpService((_request, response) => response.end('hello from behind'));
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('web', port)));
    const ready = await one.event('ready');
    expect(ready.services).toEqual({
      web: { urls: [`https://web.localhost:${at.port}`], tcp: [], udp: [], servedAs: 'stream' },
    });
    expect(await get(at, 'web.localhost', one.ca)).toMatchObject({
      status: 200,
      text: expect.stringContaining('hello from behind'),
    });
  });

  it('forwards bytes in both directions unchanged, including a half-close', async () => {
    const at = await relay();
    // Responds only once the visitor has ended its side, which proves that the half-close is forwarded.
    const port = await tcpService((socket) => {
      const hash = createHash('sha256');
      socket.on('data', (chunk) => hash.update(chunk));
      socket.on('end', () => socket.end(hash.digest('hex')));
    });
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('web', port)));
    const body = randomBytes(5_000_000);
    const visitor = await visit(at, 'web.localhost', one.ca);
    visitor.end(body);
    expect((await readAll(visitor)).toString()).toBe(createHash('sha256').update(body).digest('hex'));
  });
});
