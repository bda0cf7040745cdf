import { request } from 'node:https';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { jsonLines, Person, type Finished, type Line, type Running } from './cli-support.js';

/** Requests that outlive the agent, as a user finds them. Each test starts about a dozen processes. */

vi.setConfig({ testTimeout: 90_000 });

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: NodeJS.Dict<string | string[]>;
}

async function echoService(): Promise<{ port: number; requested: Asked[] }> {
  const requested: Asked[] = [];
  const server = createServer((incoming, response) => {
    requested.push({ method: incoming.method!, url: incoming.url!, headers: incoming.headers });
    response.statusCode = incoming.url!.startsWith('/fails') ? 503 : 200;
    response.setHeader('Content-Type', 'text/plain');
    incoming.pipe(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, requested };
}

const yaml = (port: number, inspect = 'true'): string =>
  `version: 1\nrelays:\n  embedded: { port: 0 }\nservices:\n  web: { mode: http, routes: { /: ${port} }, inspect: ${inspect} }\n`;

interface Up {
  readonly agent: Running;
  ask(
    path: string,
    options?: { method?: string; body?: string; headers?: Record<string, string> },
  ): Promise<number>;
}

async function up(person: Person, args: string[] = []): Promise<Up> {
  const agent = person.start(['up', '--json', ...args]);
  const { ca } = (await agent.event('started')) as Line & { ca: string };
  const ready = (await agent.event('ready')) as Line & { services: { web: { urls: string[] } } };
  const url = new URL(ready.services.web.urls[0]!);
  const authority = await readFile(ca);
  return {
    agent,
    ask: (path, { method = 'GET', body, headers } = {}) =>
      new Promise((resolve, reject) => {
        const outgoing = request({
          host: '127.0.0.1',
          port: url.port,
          servername: url.hostname,
          ca: authority,
          agent: false,
          method,
          path,
          headers: { host: url.host, ...headers },
        });
        outgoing.once('error', reject);
        outgoing.once('response', (response) => {
          response.resume().once('end', () => resolve(response.statusCode!));
        });
        outgoing.end(body);
      }),
  };
}

const stop = async ({ agent }: Up): Promise<void> => {
  agent.kill('SIGTERM');
  expect((await agent.finished).code).toBe(0);
};

/** The requests that `portal requests` finds, once there are this many. */
async function kept(person: Person, count: number, args: string[] = []): Promise<Line[]> {
  let lines: Line[] = [];
  const look = async (): Promise<number> => {
    lines = jsonLines((await person.run(['requests', '--json', ...args])).stdout);
    return lines.length;
  };
  await expect.poll(look).toBe(count);
  return lines;
}

const codeOf = ({ stdout }: Finished): unknown => jsonLines(stdout).at(-1)?.['code'];

it('are found, and shown with secrets masked', async () => {
  const person = await Person.create();
  const { port } = await echoService();
  await writeFile(join(person.folder, 'portal.yaml'), yaml(port, '{ mask: [X-Key] }'));
  expect((await person.run(['requests'])).stderr).toContain('No requests recorded yet.');
  expect((await person.run(['requests', '--status', '404'])).stderr).toContain(
    'No recorded request matches.',
  );
  const first = await up(person);
  const secret = { authorization: 'Bearer s3cr3t', 'x-key': 's3cr3t' };
  expect((await person.run(['requests'])).stderr).toBe('No requests recorded yet.\n');
  await first.ask('/orders?x=1', { method: 'POST', body: '{"name":"Ada"}', headers: secret });
  await first.ask('/fails');
  await stop(first);

  const [post, fails] = (await kept(person, 2)) as [Line, Line];
  expect(post).toMatchObject({
    event: 'request',
    id: '1-1',
    service: 'web',
    method: 'POST',
    target: '/orders?x=1',
    status: 200,
    outcome: 'done',
  });
  expect(fails).toMatchObject({ id: '1-2', status: 503, source: join(person.folder, 'portal.yaml') });
  const find = async (...args: string[]): Promise<unknown[]> =>
    jsonLines((await person.run(['requests', '--json', ...args])).stdout).map(({ id }) => id);
  const finds = [
    find('--status', '4xx,5xx'),
    find('--method', 'post', '--service', 'web', '--since', '1h'),
    find('--search', 'orders 200'),
    find('--limit', '1'),
    find('--service', 'api'),
  ];
  expect(await Promise.all(finds)).toEqual([['1-2'], ['1-1'], ['1-1'], ['1-2'], []]);
  const table = await person.run(['requests']);
  expect(table.stdout).toMatch(
    /^ID +TIME +SERVICE.*\n1-1 .* POST +200 .*\/orders\?x=1\n1-2 .*503 .*\/fails\n$/,
  );

  const shown = await person.run(['requests', 'show', '1-1']);
  expect(shown.stdout).toContain('authorization: Bearer ••••••');
  expect(shown.stdout).toContain('{"name":"Ada"}');
  expect(shown.stdout).not.toContain('s3cr3t');
  expect((await person.run(['requests', 'show', '1-1', '--reveal'])).stdout).toContain('x-key: s3cr3t');
  const curl = await person.run(['requests', 'show', '1-1', '--curl']);
  expect(curl.stdout).toMatch(/^curl [\s\S]*--data-raw '\{"name":"Ada"\}'\n$/);
  const [json] = jsonLines((await person.run(['requests', 'show', '1-1', '--json'])).stdout);
  expect(json).toMatchObject({ id: '1-1', request: { body: { text: '{"name":"Ada"}' } } });
});

it('are replayed by the next run', async () => {
  const person = await Person.create();
  const { port, requested } = await echoService();
  await writeFile(join(person.folder, 'portal.yaml'), yaml(port));
  const first = await up(person);
  const secret = { authorization: 'Bearer s3cr3t', 'x-key': 's3cr3t' };
  await first.ask('/orders?x=1', { method: 'POST', body: 'a thing', headers: secret });
  await stop(first);
  const alone = await person.run(['replay', '1-1', '--json']);
  expect([alone.code, codeOf(alone)]).toEqual([1, 'not_running']);
  const second = await up(person);
  const replayed = await person.run(['replay', '1-1', '--json']);
  expect(jsonLines(replayed.stdout)).toMatchObject([
    { event: 'replayed', id: '2-1', replayOf: '1-1', status: 200 },
  ]);
  expect(requested.at(-1)).toMatchObject({ method: 'POST', url: '/orders?x=1', headers: secret });
  expect((await person.run(['requests', 'show', '2-1'])).stdout).toContain('repeats 1-1');
  expect(codeOf(await person.run(['replay', '7-7', '--json']))).toBe('request_unknown');
  expect(codeOf(await person.run(['requests', 'show', '7-7', '--json']))).toBe('request_unknown');
  expect((await person.run(['replay', '7-7'])).stderr).toContain('List the recorded requests with');
  const typo = await person.run(['replay', 'x']);
  expect([typo.code, typo.stderr.includes('List the recorded requests with')]).toEqual([2, true]);
  await stop(second);
});

it('survive a killed agent, except for the last moment', async () => {
  const person = await Person.create();
  const { port } = await echoService();
  await writeFile(join(person.folder, 'portal.yaml'), yaml(port));
  const first = await up(person);
  for (let i = 0; i < 20; i++) await first.ask(`/before/${i}`);
  await kept(person, 20);
  const asking = Array.from({ length: 50 }, (_, i) => first.ask(`/during/${i}`).catch(() => 0));
  await asking[0];
  first.agent.kill('SIGKILL');
  await Promise.all([...asking, first.agent.finished]);
  const again = await up(person);
  await again.ask('/after');
  await kept(person, 1, ['--search', '/after']);
  expect(await kept(person, 20, ['--search', '/before'])).toHaveLength(20);
  await stop(again);
});

it('are listed of one configuration, and of all with --all', async () => {
  const person = await Person.create();
  const { port } = await echoService();
  await writeFile(join(person.folder, 'portal.yaml'), yaml(port));
  await writeFile(join(person.folder, 'other.yaml'), yaml(port));
  const other = await up(person, ['-f', 'other.yaml']);
  await other.ask('/other');
  const targets = async (count: number, ...args: string[]): Promise<unknown[]> =>
    (await kept(person, count, args)).map(({ target }) => target);
  expect(await targets(1, '-f', 'other.yaml')).toEqual(['/other']);
  const none = await person.run(['requests']);
  expect(none.stdout).toBe('');
  expect(none.stderr).toBe(
    'No requests recorded yet for portal.yaml. Use --all to show requests of other configurations.\n',
  );
  expect((await person.run(['requests', '--method', 'GET'])).stderr).toBe(
    'No recorded request of portal.yaml matches. Use --all to show requests of other configurations.\n',
  );
  const one = await up(person);
  await one.ask('/one');
  expect(await targets(1)).toEqual(['/one']);
  expect(await targets(1, '-f', 'other.yaml')).toEqual(['/other']);
  expect(await targets(2, '--all')).toEqual(['/other', '/one']);
  await Promise.all([stop(one), stop(other)]);
});

it('are wiped immediately by all agents, which keep running', async () => {
  const person = await Person.create();
  const { port } = await echoService();
  await writeFile(join(person.folder, 'portal.yaml'), yaml(port));
  await writeFile(join(person.folder, 'other.yaml'), yaml(port));
  const [one, other] = await Promise.all([up(person), up(person, ['-f', 'other.yaml'])]);
  await Promise.all([one.ask('/one'), other.ask('/other')]);
  const [row] = (await kept(person, 2, ['--all', '--limit', '9'])) as [Line];
  const refused = await person.run(['requests', 'wipe', '--json']);
  expect([refused.code, codeOf(refused)]).toEqual([2, 'usage']);
  // Another identity deletes none of these requests, and asks no other agents to delete any.
  const stranger = ['-f', 'stranger.yaml'];
  const text = `${yaml(port)}identity: ./stranger.json\n`;
  await writeFile(join(person.folder, 'stranger.yaml'), text);
  await person.run(['identity', 'new', ...stranger]);
  const others = await person.run(['requests', 'wipe', '--yes', '--json', ...stranger]);
  expect(jsonLines(others.stdout)).toMatchObject([{ event: 'wiped', agents: 0 }]);
  await kept(person, 2, ['--all']);

  const wiped = await person.run(['requests', 'wipe', '--yes', '--json']);
  expect(jsonLines(wiped.stdout)).toMatchObject([{ event: 'wiped', agents: 2 }]);
  expect(jsonLines((await person.run(['requests', '--all', '--json'])).stdout)).toEqual([]);
  expect(codeOf(await person.run(['replay', String(row['id']), '--json']))).toBeDefined();
  const folder = join(person.home, 'history');
  const [identity] = await readdir(folder);
  for (const name of await readdir(join(folder, identity!)))
    expect((await readFile(join(folder, identity!, name))).length).toBeLessThan(400);

  await Promise.all([one.ask('/one/more'), other.ask('/other/more')]);
  const targets = (await kept(person, 2, ['--all'])).map(({ target }) => target);
  expect(new Set(targets)).toEqual(new Set(['/one/more', '/other/more']));
  await Promise.all([stop(one), stop(other)]);
});

it('are not stored with `history: false`, and the service still has its page', async () => {
  const person = await Person.create();
  const { port } = await echoService();
  await writeFile(join(person.folder, 'portal.yaml'), yaml(port, '{ history: false }'));
  const running = await up(person);
  await running.agent.event('inspector');
  await running.ask('/unseen');
  await stop(running);
  await kept(person, 0);
  await expect(readdir(join(person.home, 'history'))).rejects.toThrow('ENOENT');
});

it('show no control characters, whatever a visitor requested', async () => {
  const { port } = await echoService();
  const person = await Person.create();
  await writeFile(join(person.folder, 'portal.yaml'), yaml(port));
  const first = await up(person);
  // The parser rejects such bytes in a path, but accepts them in a field.
  expect(await first.ask('/\x9b2J')).toBe(400);
  const path = `/title/${'x'.repeat(2_000)}`;
  expect(await first.ask(path, { headers: { 'x-odd': '\x9b31m\x85' } })).toBe(200);
  await stop(first);
  for (const [text, ...args] of [
    ['title'],
    ['title', '--json'],
    ['title', 'show', '1-2'],
    ['title', 'show', '1-2', '--json'],
    ['title', 'show', '1-2', '--curl'],
    ['2J', 'show', '1-1'],
    ['2J', 'show', '1-1', '--json'],
  ] as const) {
    const { code, stdout } = await person.run(['requests', ...args]);
    expect(code).toBe(0);
    expect(stdout).toContain(text);
    expect(stdout).not.toMatch(/(?!\n)\p{Cc}/u);
  }
  const line = jsonLines((await person.run(['requests', '--json'])).stdout).at(-1);
  expect(line!['target']).toBe(path);
  expect((await person.run(['requests'])).stdout.length).toBeLessThan(600);
});
