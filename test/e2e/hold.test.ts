import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { holdingPlace, HOOKS_HOST, receiver, sendHook } from '../support/hold.js';

/** Webhooks that wait while their receiver is down (`hold`). */

it('holds POST requests while the target is down, and delivers them in order when it is back', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  const one = await here.start(target.port);
  const first = await sendHook(here, one, 'first', { fields: 'X-Hub-Signature-256: sha256=1\r\n' });
  expect(first).toMatchObject({ status: 202 });
  expect(first.held).toMatch(/^\d{13}-[0-9a-f]{8}$/);
  expect(first.text).toContain('within 10 minutes');
  const json = await sendHook(here, one, 'second', { fields: 'Accept: application/json\r\n' });
  expect(json.text).toContain('{"status":202,"code":"held","message":"Request held. ');
  expect((await sendHook(here, one, 'third')).status).toBe(202);
  expect((await sendHook(here, one, 'now', { method: 'PUT' })).status).toBe(503);
  expect((await sendHook(here, one, '', { method: 'GET' })).status).toBe(503);
  expect(one.events.filter(({ event }) => event === 'held')).toHaveLength(3);

  await target.up();
  await one.event('delivered', ({ waiting }) => waiting === 0);
  expect(target.bodies()).toEqual(['first', 'second', 'third']);
  const [delivered] = target.received;
  expect(delivered).toMatchObject({ method: 'POST', url: '/github?x=1' });
  expect(delivered!.headers).toMatchObject({
    host: HOOKS_HOST,
    'x-hub-signature-256': 'sha256=1',
    'x-portal-held': first.held,
    'x-portal-attempt': '1',
    'x-forwarded-for': '127.0.0.1',
    'content-length': '5',
  });
  expect(Math.abs(Date.parse(delivered!.headers['x-portal-held-since'] as string) - Date.now())).toBeLessThan(
    60_000,
  );
  expect(await here.files()).toEqual([]);
  expect((await sendHook(here, one, 'direct')).status).toBe(200);
});

it('keeps the order: a new POST waits behind those that are being delivered', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  const one = await here.start(target.port);
  await sendHook(here, one, 'first');
  target.respondWith(() => 500);
  await target.up();
  await expect.poll(() => target.received.length).toBeGreaterThan(0);
  expect((await sendHook(here, one, 'second')).status).toBe(202);
  expect((await sendHook(here, one, 'read', { method: 'PUT' })).status).toBe(500);
  target.respondWith(() => 204);
  await one.event('delivered', ({ waiting }) => waiting === 0);
  const [head] = target.bodies();
  expect(head).toBe('first');
  expect(target.bodies().at(-1)).toBe('second');
  const attempts = target.received.filter(({ body }) => body === 'first');
  expect(attempts.map(({ headers }) => headers['x-portal-attempt'])).toEqual(
    attempts.map((_, i) => String(i + 1)),
  );
});

it('stores requests encrypted, for the owner only, and the next run of the agent delivers them', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  const first = await here.start(target.port);
  const { held } = await sendHook(here, first, 'a secret body', {
    fields: 'Authorization: Bearer s3cr3t\r\n',
  });
  await first.runner.stop({ reason: 'test', drainMs: 0 });
  const [file, ...others] = await here.files();
  expect(others).toEqual([]);
  expect((await stat(file!)).mode & 0o777).toBe(0o600);
  const text = (await readFile(file!)).toString('latin1');
  for (const secret of ['a secret body', 's3cr3t', '/github', 'hooks']) expect(text).not.toContain(secret);

  await target.up();
  const second = await here.start(target.port);
  await second.event('delivered');
  expect(target.received).toMatchObject([
    { body: 'a secret body', headers: { authorization: 'Bearer s3cr3t', 'x-portal-held': held } },
  ]);
  expect(await here.files()).toEqual([]);
});

it('does not hold a request of which the target got a byte', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  target.respondWith(() => 'reset');
  await target.up();
  const one = await here.start(target.port);
  expect((await sendHook(here, one, 'sent')).status).toBe(502);
  target.respondWith(() => 503);
  expect((await sendHook(here, one, 'rejected')).status).toBe(503);
  expect(one.events.filter(({ event }) => event === 'held')).toEqual([]);
  expect(await here.files()).toEqual([]);
});

it('warns when it cannot store requests, once until it can again', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  const warnings: string[] = [];
  const one = await here.start(target.port, {}, { warn: (message) => void warnings.push(message) });
  await rm(here.heldDir, { recursive: true });
  await writeFile(here.heldDir, 'in the way');
  expect((await sendHook(here, one, 'first')).status).toBe(503);
  expect((await sendHook(here, one, 'second')).status).toBe(503);
  const warning = expect.stringMatching(
    /^hooks: requests cannot be held \((ENOTDIR|EEXIST)\), and their senders get 503$/,
  ) as string;
  expect(warnings).toEqual([warning]);
  await rm(here.heldDir);
  expect((await sendHook(here, one, 'third')).status).toBe(202);
  await rm(here.heldDir, { recursive: true });
  await writeFile(here.heldDir, 'in the way');
  expect((await sendHook(here, one, 'fourth')).status).toBe(503);
  expect(warnings).toEqual([warning, warning]);
});
