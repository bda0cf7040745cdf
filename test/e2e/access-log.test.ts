/** `portal logs --access`: the requests of visitors. */
import { writeFile } from 'node:fs/promises';
import { connect as connectH2 } from 'node:http2';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { readFileSync } from 'node:fs';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { httpsGet } from '../support/visitor.js';
import { httpService } from '../support/world.js';
import { jsonLines, Person, type Line, type Running } from './cli-support.js';

let person: Person;
beforeEach(async () => {
  person = await Person.create();
});

interface Served {
  readonly up: Running;
  readonly ca: string;
  readonly url: (service: string) => string;
}

async function serve(services: object): Promise<Served> {
  const text = `version: 1\nrelays: { embedded: { port: 0 } }\nservices: ${JSON.stringify(services)}\n`;
  await writeFile(join(person.folder, 'portal.yaml'), text);
  const up = person.start(['up', '--json']);
  const [started, ready] = [await up.event('started'), await up.event('ready')];
  const urls = ready['services'] as Record<string, { urls: string[] }>;
  return { up, ca: String(started['ca']), url: (service) => urls[service]!.urls[0]! };
}

async function entries(args: readonly string[] = []): Promise<Line[]> {
  return jsonLines((await person.run(['logs', '--access', '--json', ...args])).stdout);
}

test('shows each request once, with the size and status of its response', async () => {
  const { port } = await httpService((request, response) => {
    if (request.url === '/none') response.writeHead(304).end();
    else response.end('x'.repeat(12_345));
  });
  const { ca, url } = await serve({
    web: { target: port, mode: 'http' },
    api: { target: port, mode: 'http' },
  });
  await httpsGet(`${url('web')}/a?b=c`, ca);
  await httpsGet(`${url('api')}/none`, ca);
  const session = connectH2(url('web'), {
    ca: readFileSync(ca),
    lookup: (_, __, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
  });
  onTestFinished(() => session.destroy());
  const stream = session.request({ ':path': '/h2', 'user-agent': 'test/1' });
  await new Promise((resolve) => stream.resume().once('close', resolve));

  const all = await entries();
  expect(
    all.map(({ event, service, method, target: path, version, status, responseBytes }) => [
      event,
      service,
      method,
      path,
      version,
      status,
      responseBytes,
    ]),
  ).toEqual([
    ['access', 'web', 'GET', '/a?b=c', '1.1', 200, 12_345],
    ['access', 'api', 'GET', '/none', '1.1', 304, 0],
    ['access', 'web', 'GET', '/h2', '2.0', 200, 12_345],
  ]);
  expect(all[2]).toMatchObject({
    remote: expect.stringMatching(/^(127\.0\.0\.1|::1)$/),
    userAgent: 'test/1',
  });
  expect(await entries(['api'])).toHaveLength(1);
  expect(await entries(['-n', '1'])).toMatchObject([{ target: '/h2' }]);
  const { stdout } = await person.run(['logs', '--access']);
  expect(stdout).toMatch(
    /^web\.localhost:\d+ \S+ - - \[\d\d\/\w{3}\/\d{4}:[\d:]{8} \+0000\] "GET \/a\?b=c HTTP\/1\.1" 200 12345\n/,
  );
  // Events stay as they were.
  expect((await person.run(['logs', '--json'])).stdout).not.toContain('"access"');
});

test('says that there are no requests yet, or none that match', async () => {
  const { port } = await httpService((_, response) => response.end('hello'));
  const { ca, url } = await serve({
    web: { target: port, mode: 'http' },
    api: { target: port, mode: 'http' },
  });
  const none = await person.run(['logs', '--access']);
  expect(none).toMatchObject({ code: 0, stdout: '', stderr: 'No requests since the agent started.\n' });
  await httpsGet(`${url('web')}/a`, ca);
  expect(await person.run(['logs', '--access', 'api'])).toMatchObject({
    stdout: '',
    stderr: 'No recent request matches.\n',
  });
  expect((await person.run(['logs', '--access', 'web'])).stderr).toBe('');
});

test('follows, and shows rejected requests, and none of the secrets in the paths of gates', async () => {
  const { port } = await httpService((_, response) => response.end('hello'));
  const { ca, url } = await serve({ web: { target: port, mode: 'http', access: { pin: '123456' } } });
  const follow = person.start(['logs', '--access', '--json', '-f']);
  // Paths with a secret, as in the redirects of a sign-in and in share links.
  await httpsGet(`${url('web')}/__portal/pin?code=first-secret`, ca);
  await httpsGet(`${url('web')}/page?a=b&portal-share=second-secret`, ca);
  const page = await follow.event('access', ({ target: path }) => String(path).startsWith('/page'));
  expect(page).toMatchObject({ method: 'GET', target: '/page?a=b&portal-share=***', status: 403 });
  expect(follow.stdout).toContain('"/__portal/pin"');
  expect(follow.stdout).not.toContain('secret');
});

test('shows a visitor who left before the response, or during it', async () => {
  const { port } = await httpService((request, response) => {
    if (request.url === '/begun') response.write('x');
  });
  const { ca, url } = await serve({ web: { target: port, mode: 'http' } });
  const { hostname, port: at } = new URL(url('web'));
  const follow = person.start(['logs', '--access', '--json', '-f']);
  for (const path of ['/silent', '/begun']) {
    const socket = connect({
      host: '127.0.0.1',
      port: Number(at),
      servername: hostname,
      ca: readFileSync(ca),
    });
    socket.on('error', () => undefined);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    if (path === '/begun') await new Promise((resolve) => socket.once('data', resolve));
    else await new Promise((resolve) => socket.once('secureConnect', resolve));
    socket.end();
  }
  expect(await follow.event('access', ({ target: path }) => path === '/silent')).toMatchObject({
    status: 499,
    responseBytes: 0,
  });
  expect(await follow.event('access', ({ target: path }) => path === '/begun')).toMatchObject({
    status: 200,
    cut: true,
  });
});
