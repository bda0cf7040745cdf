import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { receiver } from '../support/hold.js';
import { Person, type Line, type Running } from './cli-support.js';

/** Held webhooks as a user finds them. */

vi.setConfig({ testTimeout: 90_000 });

async function up(person: Person): Promise<{ agent: Running; post(body: string): Promise<number> }> {
  const agent = person.start(['up', '--json']);
  const { ca } = (await agent.event('started')) as Line & { ca: string };
  const ready = (await agent.event('ready')) as Line & { services: { hooks: { urls: string[] } } };
  const url = new URL(ready.services.hooks.urls[0]!);
  const authority = await readFile(ca);
  const post = (body: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const outgoing = request({
        host: '127.0.0.1',
        port: url.port,
        path: '/github',
        method: 'POST',
        servername: url.hostname,
        headers: { host: url.host, 'content-length': Buffer.byteLength(body) },
        ca: authority,
        agent: false,
      });
      outgoing.once('error', reject);
      outgoing.once('response', (response) => {
        response.resume();
        response.once('end', () => resolve(response.statusCode!));
      });
      outgoing.end(body);
    });
  return { agent, post };
}

const yaml = (port: number, more = ''): string =>
  `version: 1\nrelays:\n  embedded: { port: 0 }\nservices:\n  hooks: { target: ${port}, hold: 10m${more} }\n`;

it('delivers after a kill what an agent held, in order', async () => {
  const person = await Person.create();
  const target = await receiver();
  await writeFile(join(person.folder, 'portal.yaml'), yaml(target.port));
  const first = await up(person);
  const bodies = Array.from({ length: 8 }, (_, i) => `webhook ${i}`);
  for (const body of bodies) expect(await first.post(body)).toBe(202);
  first.agent.kill('SIGKILL');
  await first.agent.finished;
  await target.up();
  const second = await up(person);
  await second.agent.event('delivered', ({ waiting }) => waiting === 0);
  expect(target.bodies()).toEqual(bodies);
  second.agent.kill('SIGTERM');
  await second.agent.finished;
});
