import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { receiver } from '../support/hold.js';
import { jsonLines, Person, type Line, type Running } from './cli-support.js';

/** Held webhooks as a user finds them. */

vi.setConfig({ testTimeout: 90_000 });

async function up(
  person: Person,
  args: string[] = [],
): Promise<{ agent: Running; post: (body: string) => Promise<number> }> {
  const agent = person.start(['up', '--json', ...args]);
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

it('shows what waits, in status, plan, metrics and the list of requests', async () => {
  const person = await Person.create();
  const target = await receiver();
  const file = join(person.folder, 'portal.yaml');
  await writeFile(file, yaml(target.port, ', inspect: true'));
  const { agent, post } = await up(person, ['--metrics', '127.0.0.1:0']);
  const { metrics } = (await agent.event('started')) as Line & { metrics: string };
  for (const body of ['first', 'second']) expect(await post(body)).toBe(202);

  const held = jsonLines((await person.run(['requests', 'held', '--json'])).stdout);
  expect(held).toMatchObject([
    { event: 'held_request', service: 'hooks', route: '/', method: 'POST', target: '/github', bodyBytes: 5 },
    { bodyBytes: 6 },
  ]);
  expect(JSON.stringify(held)).not.toContain('headers');
  const table = await person.run(['requests', 'held']);
  expect(table.stdout).toMatch(
    /^ID +HELD SINCE +EXPIRES +SERVICE +ROUTE +SIZE +PATH\n\d{13}-.* in (10|9) min .*\/github\n/,
  );
  const none = await person.run(['requests', 'held', '--service', 'other']);
  expect(none).toMatchObject({ code: 0, stdout: '' });
  expect((await person.run(['requests'])).stdout).toMatch(/POST +202 held/);
  expect((await person.run(['status'])).stdout).toMatch(
    /^hooks: 2 requests held, .* accepts no connection$/m,
  );
  const [status] = jsonLines((await person.run(['status', '--json'])).stdout);
  expect(status).toMatchObject({
    leases: [{ service: 'hooks', holdMs: { '/': 600_000 } }],
    held: [{ service: 'hooks', route: '/', waiting: 2 }],
  });
  const read = async (): Promise<string> => (await fetch(metrics)).text();
  expect(await read()).toContain('portal_agent_held_requests{service="hooks"} 2');

  const without = yaml(target.port).replace('hooks:', 'others:');
  await writeFile(file, without);
  await agent.event('applied', ({ revision }) => Number(revision) > 1);
  await writeFile(file, yaml(target.port, ', inspect: true'));
  await target.up();
  await agent.event('delivered', ({ waiting }) => waiting === 0);
  expect(target.bodies()).toEqual(['first', 'second']);
  const delivered = jsonLines((await person.run(['requests', '--json'])).stdout).filter(
    (line) => line['deliveryOf'] !== undefined && line['status'] === 200,
  );
  expect(delivered).toHaveLength(2);
  const { id, deliveryOf } = delivered[0]!;
  expect((await person.run(['requests', 'show', String(id)])).stdout).toContain(
    `delivers the held request ${String(deliveryOf)}`,
  );
  expect(await read()).toContain('portal_agent_hold_events_total{service="hooks",event="delivered"} 2');
});

it('deletes held requests with `requests wipe`, and reports their number', async () => {
  const person = await Person.create();
  const target = await receiver();
  await writeFile(join(person.folder, 'portal.yaml'), yaml(target.port));
  const first = await up(person);
  expect(await first.post('first')).toBe(202);
  const wiped = await person.run(['requests', 'wipe', '--yes']);
  expect(wiped.stderr).toContain(', and 1 held request that was not delivered');
  expect(await first.post('second')).toBe(202);
  first.agent.kill('SIGTERM');
  await first.agent.finished;
  const [again] = jsonLines((await person.run(['requests', 'wipe', '--yes', '--json'])).stdout);
  expect(again).toMatchObject({ event: 'wiped', held: 1 });
  expect((await person.run(['requests', 'held'])).stderr).toContain('No requests are held.');
});

it('delivers after a kill what an agent had not delivered, in order and at least once', async () => {
  const person = await Person.create();
  const target = await receiver();
  await writeFile(join(person.folder, 'portal.yaml'), yaml(target.port));
  const first = await up(person);
  const bodies = Array.from({ length: 8 }, (_, i) => `webhook ${i}`);
  for (const body of bodies) expect(await first.post(body)).toBe(202);
  target.respondWith(({ body }) => (body === 'webhook 2' ? 'silent' : 200));
  await target.up();
  await expect.poll(() => target.received.length).toBe(3);
  first.agent.kill('SIGKILL');
  await first.agent.finished;
  target.respondWith(() => 200);
  const second = await up(person);
  await second.agent.event('delivered', ({ waiting }) => waiting === 0);
  // Nobody knows whether the target processed the third one: it gets that again, with the same id.
  expect(target.bodies()).toEqual([...bodies.slice(0, 3), ...bodies.slice(2)]);
  const [once, again] = target.received.filter(({ body }) => body === 'webhook 2');
  expect(again!.headers['x-portal-held']).toBe(once!.headers['x-portal-held']);
  second.agent.kill('SIGTERM');
  await second.agent.finished;
});
