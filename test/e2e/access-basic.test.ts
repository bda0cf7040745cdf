import type { IncomingHttpHeaders } from 'node:http';
import { describe, expect, it } from 'vitest';
import { basicField } from '../../src/agent/access/basic-credentials.js';
import { Gates } from '../../src/agent/access/gates.js';
import { Rejections } from '../../src/agent/access/rejections.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { Recorders } from '../../src/agent/inspect/recorder.js';
import type { AccessSpec } from '../../src/agent/spec.js';
import { ask, askH2, edge, h2Visitor, HOST } from '../support/http-edge.js';
import { settled } from '../support/inspector.js';
import { httpService, service } from '../support/world.js';

/** The gate for users with passwords (RFC 7617). */

// Cheap hashes of `horse` and `battery`.
const ALICE = '$2a$04$1EALQ.2zezwhbRUjcSLwy.7wK7fWQ/PVdQtsRsnQKo2KDJHySuksK';
const BOB = '$argon2id$v=19$m=256,t=1,p=1$QVBmTNo8/oFYk0a/1ud8Tg$cLjGe4WOYJxPB4lj4jGMTjV3bSIGaly8GZ1DMqfUPu4';
const USERS: AccessSpec = { basic: { alice: ALICE, bob: BOB } };

const as = (user: string, password: string): { authorization: string } => ({
  authorization: basicField({ user, password }),
});
const alice = as('alice', 'horse');

async function gated(
  access: AccessSpec = USERS,
  { visitor, recorders }: { visitor?: () => string; recorders?: Recorders } = {},
) {
  const seen: IncomingHttpHeaders[] = [];
  const { port } = await httpService((request, response) => {
    seen.push(request.headers);
    response.end('the site');
  });
  const reports: string[] = [];
  const rejections = new Rejections((reason) => reports.push(reason));
  const spec = service('app', port, { mode: 'http', access });
  const gates = new Gates({ spec, sessionKey: Buffer.alloc(32), identity: generateIdentity(), rejections });
  const at = await edge(
    { '/': port },
    { gates, ...(visitor && { visitor }), ...(recorders && { recorders }) },
  );
  const statusAs = async (headers: Record<string, string> = {}): Promise<number> =>
    (await ask(at, '/', { headers })).status;
  return { at, seen, reports, rejections, gates, spec, statusAs };
}

describe('a service for users with passwords', () => {
  it('asks for both, and the target gets nothing before', async () => {
    const { at, seen, reports } = await gated();
    const { status, headers, body } = await ask(at, '/', { headers: { accept: 'text/html' } });
    expect(status).toBe(401);
    expect(headers).toMatchObject({
      'www-authenticate': 'Basic realm="app", charset="UTF-8"',
      'cache-control': 'no-store',
      'x-robots-tag': 'noindex',
    });
    expect(body).toContain('<h1>Sign in</h1>');
    const preflight = { origin: 'https://elsewhere.example', 'access-control-request-method': 'GET' };
    expect((await ask(at, '/', { method: 'OPTIONS', headers: preflight })).status).toBe(401);
    expect(seen).toEqual([]);
    expect(reports).toEqual([]);
  });

  it('names the user to the target, and keeps the password from it, over each HTTP version', async () => {
    const { at, seen } = await gated();
    const forged = {
      'x-portal-user': 'root',
      'x-portal-email': 'root@example.com',
      connection: 'x-portal-user',
    };
    expect(await ask(at, '/', { headers: { ...alice, ...forged } })).toMatchObject({ status: 200 });
    const visitor = await h2Visitor(at);
    const bob = { ':path': '/', ...as('bob', 'battery'), 'x-portal-user': 'root' };
    expect(await askH2(visitor, bob)).toMatchObject({ status: 200, body: 'the site' });
    expect(seen.map((each) => [each['x-portal-user'], each['x-portal-email'], each.authorization])).toEqual([
      ['alice', undefined, undefined],
      ['bob', undefined, undefined],
    ]);
  });

  it.each([
    ['a wrong password', as('alice', 'hoarse'), true],
    ["another user's password", as('alice', 'battery'), true],
    ['an unknown user', as('carol', 'horse'), true],
    ['a name that every object has', as('constructor', 'horse'), true],
    ['an empty password', as('alice', ''), true],
    ['another scheme', { authorization: 'Bearer horse' }, false],
    ['no colon', { authorization: `Basic ${Buffer.from('alice').toString('base64')}` }, false],
    ['a control character', as('alice', 'horse\0'), false],
    [
      'Latin-1',
      { authorization: `Basic ${Buffer.from('alice:k\u016F\u00F1', 'latin1').toString('base64')}` },
      false,
    ],
    ['two pairs', { authorization: `${alice.authorization}, ${alice.authorization}` }, false],
  ])('rejects %s', async (_what, headers, counts) => {
    const { statusAs, seen, rejections } = await gated();
    expect(await statusAs(headers)).toBe(401);
    expect(seen).toEqual([]);
    expect(rejections.counts()).toEqual(counts ? { basic: 1 } : undefined);
  });

  it('limits the attempts of a network, even with the right password and even at once', async () => {
    let address = '203.0.113.7';
    const { at, statusAs, seen } = await gated(USERS, { visitor: () => address });
    const guesses = Array.from({ length: 9 }, (_, i) => statusAs(as('alice', `guess ${i}`)));
    const statuses = await Promise.all(guesses);
    expect([401, 429].map((status) => statuses.filter((each) => each === status).length)).toEqual([4, 5]);
    const { status, headers } = await ask(at, '/', { headers: alice });
    expect([status, headers['retry-after']]).toEqual([429, '30']);
    expect(seen).toEqual([]);
    address = '203.0.113.8';
    expect(await statusAs(alice)).toBe(200);
    // The password is remembered now, but the first network still has to wait.
    address = '203.0.113.7';
    expect(await statusAs(alice)).toBe(429);
  });

  it('signs everyone out when the users change, and no one when another setting does', async () => {
    const { gates, spec, statusAs } = await gated();
    expect(await statusAs(alice)).toBe(200);
    gates.update({ ...spec, access: { ...USERS, allowIps: ['203.0.113.0/24'] } });
    expect(await statusAs(alice)).toBe(200);
    gates.update({ ...spec, access: { basic: { bob: BOB } } });
    expect([await statusAs(alice), await statusAs(as('bob', 'battery'))]).toEqual([401, 200]);
    gates.update({ ...spec, access: {} });
    expect(await statusAs()).toBe(200);
  });

  it('leaves Authorization to the target of a service without users', async () => {
    const { seen, statusAs } = await gated({});
    expect(await statusAs({ ...alice, 'x-portal-user': 'root' })).toBe(200);
    expect(seen.map((each) => [each.authorization, each['x-portal-user']])).toEqual([
      [alice.authorization, undefined],
    ]);
  });
});

it('records the name of the user without the password, and replays as that user', async () => {
  const recorders = new Recorders();
  const { at, seen, statusAs } = await gated(USERS, { recorders });
  expect([await statusAs(alice), await statusAs(as('bob', 'wrong'))]).toEqual([200, 401]);
  const [passed, rejected] = [await settled(recorders.store, 1), await settled(recorders.store, 2)];
  const text = JSON.stringify([recorders.details(passed, true), recorders.details(rejected, true)]);
  expect(text).toContain(as('alice', '').authorization);
  for (const secret of [alice, as('bob', 'wrong')]) expect(text).not.toContain(secret.authorization);
  const replayed = await settled(recorders.store, recorders.replay(passed, {}));
  expect(replayed.status).toBe(200);
  expect(seen.map((each) => [each['x-portal-user'], each.authorization])).toEqual([
    ['alice', undefined],
    ['alice', undefined],
  ]);
  expect((await settled(recorders.store, recorders.replay(rejected, {}))).status).toBe(401);
  expect(at.name).toBe(HOST);
});

it('names no user in a replay of a request that no password has proven', async () => {
  const recorders = new Recorders();
  const { seen, statusAs, gates, spec } = await gated({}, { recorders });
  expect(await statusAs({ ...as('alice', 'wrong'), 'x-portal-user': 'alice' })).toBe(200);
  gates.update({ ...spec, access: USERS });
  const replayed = await settled(recorders.store, recorders.replay(await settled(recorders.store, 1), {}));
  expect(replayed.status).toBe(200);
  expect(seen.map((each) => [each['x-portal-user'], each.authorization])).toEqual([
    [undefined, as('alice', 'wrong').authorization],
    [undefined, undefined],
  ]);
});

it('keeps the user in a replay after the user was removed', async () => {
  const recorders = new Recorders();
  const { seen, statusAs, gates, spec } = await gated(USERS, { recorders });
  expect(await statusAs(alice)).toBe(200);
  gates.update({ ...spec, access: { basic: { bob: BOB } } });
  const edits = { headers: [{ name: 'Authorization', value: as('bob', 'wrong').authorization }] };
  await settled(recorders.store, recorders.replay(await settled(recorders.store, 1), edits));
  expect(seen.map((each) => [each['x-portal-user'], each.authorization])).toEqual([
    ['alice', undefined],
    ['alice', undefined],
  ]);
});
