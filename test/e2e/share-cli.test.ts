import { readdir, readFile, writeFile } from 'node:fs/promises';
import { request, type RequestOptions } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { freePort } from '../support/ports.js';
import { httpService } from '../support/world.js';
import { jsonLines, Person, type Line } from './cli-support.js';

/** `portal share` as people run it, while agents stop and start. */

async function published() {
  const person = await Person.create();
  const { port } = await httpService((_request, response) => response.end('the site'));
  const at = await freePort();
  await writeFile(
    join(person.folder, 'portal.yaml'),
    `version: 1\nrelays: { embedded: { port: ${at} } }\nservices:\n  app: { target: ${port}, access: { pin: 2580-1379 } }\n`,
  );
  person.downAfterTest();
  const up = async (): Promise<void> => {
    const { code, stderr } = await person.run(['up', '--wait']);
    expect([code, stderr.includes('error')]).toEqual([0, false]);
  };
  const restart = async (): Promise<void> => {
    expect((await person.run(['down'])).code).toBe(0);
    await up();
  };
  const events = async (...args: string[]): Promise<Line[]> => {
    const { code, stdout, stderr } = await person.run(['share', ...args, '--json']);
    expect([code, stderr.includes('error')]).toEqual([0, false]);
    return jsonLines(stdout);
  };
  const get = async (target: string, headers: Record<string, string> = {}) => {
    const ca = await readFile(join(person.home, 'ca', 'ca.pem'), 'utf8');
    const host = `app.localhost:${at}`;
    return ask({
      host: '127.0.0.1',
      port: at,
      servername: 'app.localhost',
      path: target,
      ca,
      headers: { host, ...headers },
    });
  };
  const share = async (...args: string[]): Promise<{ id: string; target: string }> => {
    const [{ id, links }] = (await events('app', ...args)) as unknown as [{ id: string; links: string[] }];
    const url = new URL(links[0]!);
    expect(url.host).toBe(`app.localhost:${at}`);
    return { id, target: url.pathname + url.search };
  };
  const opened = async (target: string): Promise<{ cookie: string }> => {
    const { status, headers } = await get(target);
    expect(status).toBe(303);
    return { cookie: headers['set-cookie']![0]!.split(';', 1)[0]! };
  };
  await up();
  return { person, restart, events, get, share, opened };
}

function ask(options: RequestOptions): Promise<{ status: number; headers: IncomingHttpHeaders }> {
  return new Promise((resolve, reject) => {
    const asked = request({ ...options, agent: false }, (response) => {
      response
        .resume()
        .once('end', () => resolve({ status: response.statusCode!, headers: response.headers }));
    });
    asked.once('error', reject).end();
  });
}

it('creates links that survive a restart of the agent, as do visitors and revocations', async () => {
  const { person, restart, events, get, share, opened } = await published();
  const [kept, revoked] = [await share('--until', '2h', '--path', '/demo'), await share()];
  const [keptCookie, revokedCookie] = [await opened(kept.target), await opened(revoked.target)];
  expect((await get('/demo/page', keptCookie)).status).toBe(200);
  expect((await get('/admin', keptCookie)).status).toBe(401);
  expect((await get('/admin', revokedCookie)).status).toBe(200);

  expect(await events('revoke', revoked.id)).toMatchObject([{ event: 'revoked', links: 1 }]);
  const state = async () => [
    (await get('/demo', keptCookie)).status,
    (await get(kept.target)).status,
    (await get('/', revokedCookie)).status,
    (await get(revoked.target)).status,
  ];
  expect(await state()).toEqual([200, 303, 401, 403]);
  await restart();
  expect(await state()).toEqual([200, 303, 401, 403]);
  const listed = await events('list');
  expect(
    listed.map(({ id, service, path, revokedAt }) => [id, service, path, revokedAt !== undefined]),
  ).toEqual(
    expect.arrayContaining([
      [kept.id, 'app', '/demo', false],
      [revoked.id, 'app', '/', true],
    ]),
  );
  const folder = join(person.home, 'identity.json.shares');
  for (const name of await readdir(folder)) {
    const text = await readFile(join(folder, name), 'utf8');
    for (const { target } of [kept, revoked]) expect(text).not.toContain(target.split('portal-share=')[1]);
  }
});

it('revokes links while the agent is stopped', async () => {
  const { person, events, get, share, opened } = await published();
  const [one, two] = [await share(), await share()];
  const cookies = [await opened(one.target), await opened(two.target)];
  expect((await person.run(['down'])).code).toBe(0);
  expect(await events('revoke', '--all')).toMatchObject([{ event: 'revoked', links: 2 }]);
  expect((await person.run(['up', '--wait'])).code).toBe(0);
  for (const cookie of cookies) expect((await get('/', cookie)).status).toBe(401);
  for (const { target } of [one, two]) expect((await get(target)).status).toBe(403);
  // Links that are created later are valid.
  expect((await get('/', await opened((await share()).target))).status).toBe(200);
  const unknown = await person.run(['share', 'revoke', 'aaaaaaaa']);
  expect(unknown).toMatchObject({ code: 1 });
  expect(unknown.stderr).toContain('this machine has no link "aaaaaaaa"');
  expect(unknown.stderr).not.toContain('revoked');
});

it('says who can open a link, and shows its end with the time zone, in both commands', async () => {
  const { person } = await published();
  const { stderr } = await person.run(['share', 'app']);
  const [, until] =
    /^Anyone on this machine with this link can visit app until (\d{4}-\d\d-\d\d \d\d:\d\d UTC)\. /.exec(
      stderr,
    ) ?? [];
  expect(until).toBeDefined();
  expect((await person.run(['share', 'list'])).stdout).toContain(`until ${until}`);
});
