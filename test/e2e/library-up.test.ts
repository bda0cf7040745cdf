/** `import { up } from 'portal-up'`: a configuration that a program runs. */
import { readFile, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { load, loadOptions } from '../../src/library/load.js';
import type { Configuration, Portal, UpOptions } from '../../src/library/api.js';
import { AllowStore } from '../../src/library/allow/store.js';
import { PortalError, up } from '../../src/library/index.js';
import { upFrom } from '../../src/library/up.js';
import { surroundingsOf } from '../../src/library/surroundings.js';
import { temporaryFolder } from '../support/folder.js';
import { freePort } from '../support/ports.js';
import { httpService, relay } from '../support/world.js';

const EMBEDDED = { embedded: { port: 0 } };

const echo: RequestListener = (request, response) => {
  request.pipe(response.writeHead(201, { 'x-path': request.url ?? '' }));
};

/** Runs a configuration in a new folder with a new home, until the end of the test. */
async function running<Name extends string>(
  configuration: Configuration<Name>,
  options: UpOptions = {},
): Promise<Portal<Name>> {
  const folder = await temporaryFolder();
  return closing(await up(configuration, { home: join(folder, 'home'), cwd: folder, ...options }));
}

function closing<P extends Portal>(portal: P): P {
  onTestFinished(() => portal.close({ drainMs: 0 }));
  return portal;
}

async function project(text: string): Promise<{ folder: string; file: string; options: UpOptions }> {
  const folder = await temporaryFolder();
  const file = join(folder, 'portal.yaml');
  await writeFile(file, text);
  return { folder, file, options: { cwd: folder, home: join(folder, 'home') } };
}

async function rejected(promise: Promise<unknown>): Promise<PortalError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PortalError);
  return error as PortalError;
}

it('runs an object until the end of its block, and names its services', async () => {
  const { port } = await httpService(echo);
  let portal: Portal<'shop' | 'admin'>;
  {
    await using own = await up(
      { relays: EMBEDDED, services: { shop: port, admin: { target: port, mode: 'http' } } },
      { home: await temporaryFolder() },
    );
    portal = own;
    expect(own.services.shop.url).toMatch(/^https:\/\/shop\.localhost:\d+$/);
    expect(own.services.shop).toMatchObject({ state: 'ready', error: undefined, name: 'shop' });
    expect(Object.keys(own.services)).toEqual(['shop', 'admin']);
    const response = await own.services.admin.fetch('/a', { method: 'POST', body: 'hello' });
    expect(response.headers.get('x-path')).toBe('/a');
    expect(await response.text()).toBe('hello');
    expect(await readFile(own.caFile!, 'utf8')).toContain('BEGIN CERTIFICATE');
  }
  expect(portal.services.shop.state).toBe('closed');
  expect(portal.services.shop.url).toMatch(/^https:/);
  await expect(portal.services.shop.fetch('/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(await rejected(portal.apply({ services: { shop: port } }))).toMatchObject({ code: 'aborted' });
});

it('keeps the requests of its services apart', async () => {
  const { port } = await httpService(echo);
  const service = { target: port, inspect: true };
  const { services } = await running({
    relays: EMBEDDED,
    services: { one: service, two: service, off: port },
  });
  const waiting = services.two.waitForRequest('/hook');
  await services.one.fetch('/hook');
  await services.two.fetch('/other');
  await services.two.fetch('/hook?id=2');
  expect((await waiting).path).toBe('/hook?id=2');
  // A request may end after its response has arrived.
  const paths = (name: 'one' | 'two'): string[] => services[name].requests().map(({ path }) => path);
  await expect.poll(() => paths('one')).toEqual(['/hook']);
  await expect.poll(() => paths('two')).toEqual(['/other', '/hook?id=2']);
  const late = await rejected(services.two.waitForRequest('/never', { timeoutMs: 1 }));
  expect(late).toMatchObject({ code: 'timeout', hint: 'Received: GET /other.' });
  expect(() => services.off.requests()).toThrow('the requests of "off" are not recorded');
});

it('takes the values of an object as they are, whatever is in `.env`', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, '.env'), 'no assignment: "\n');
  const program = `require('http').createServer((q, r) => r.end(process.env.PRICE)).listen(process.env.PORT)`;
  const { services } = await running(
    {
      relays: EMBEDDED,
      services: {
        app: {
          command: `PORT=$PORT exec ${process.execPath} -e "${program}"`,
          env: { PRICE: '$5 ${PORT} $$' },
        },
      },
    },
    { cwd: folder },
  );
  await expect.poll(async () => (await services.app.fetch('/')).text()).toBe('$5 ${PORT} $$');
});

it('rejects an invalid object with each mistake, and creates nothing', async () => {
  const home = join(await temporaryFolder(), 'new');
  const services = { web: { target: 3000, mode: 'htpp' as 'http' }, api: { traget: 3 } as object };
  const error = await rejected(up({ services }, { home }));
  expect(error.code).toBe('config_invalid');
  expect(error.message).toMatch(/^\/services\/web\/mode: .*\(and \d more\)$/);
  expect((error as { problems?: unknown }).problems).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ path: '/services/web/mode', code: 'config_invalid' }),
      expect.objectContaining({
        path: '/services/api/traget',
        hint: expect.stringContaining('target') as string,
      }),
    ]),
  );
  expect(existsSync(home)).toBe(false);
  const circle: Record<string, unknown> = {};
  circle['web'] = circle;
  expect(await rejected(up({ services: circle as never }, { home }))).toMatchObject({ code: 'usage' });
});

it('rejects an invalid file with the place of each mistake', async () => {
  const { file, options } = await project('version: 1\nservices:\n  web: { traget: 3000 }\n');
  const error = await rejected(up(file, options));
  expect(error).toMatchObject({
    code: 'config_invalid',
    problems: [{ file, line: 3, column: 10, path: '/services/web/traget' }],
  });
  expect(error.message).toContain(`${file}:3:10: `);
  const missing = await rejected(up('none.yaml', options));
  expect(missing).toMatchObject({
    code: 'config_not_found',
    hint: 'Check the path, or run `portal init` to create a file.',
  });
});

it('finds portal.yaml as the command line does, and selects services and profiles', async () => {
  const { port } = await httpService(echo);
  const { options } = await project(
    `version: 1\nrelays: { embedded: { port: 0 } }\nservices:\n  web: ${port}\n  api: ${port}\n  mail: { target: ${port}, profiles: [debug] }\n`,
  );
  const all = closing(await up(undefined, options));
  expect(Object.keys(all.services)).toEqual(['web', 'api']);
  await all.close();
  const some = closing(await up(undefined, { ...options, services: ['mail'] }));
  expect(Object.keys(some.services)).toEqual(['mail']);
  expect(await rejected(up(undefined, { ...options, services: ['webb'] }))).toMatchObject({
    code: 'usage',
    hint: 'Did you mean `web`?',
  });
});

it('needs the permissions of a file, as the command line does', async () => {
  const { url, ca } = await relay();
  const { port } = await httpService(echo);
  const relays = `relays: { urls: [{ url: "${url}", ca: ${ca.certificateFile} }] }`;
  const { folder, file, options } = await project(`version: 1\n${relays}\nservices: { web: ${port} }\n`);
  // The tests' environment allows everything.
  const asked = { env: {}, cwd: folder };
  const error = await rejected(upFrom(asked, file, options));
  expect(error).toMatchObject({
    code: 'config_not_allowed',
    problems: [{ file, line: 2, path: '/relays/urls/0/url' }],
  });
  const allowed = await upFrom(asked, file, { ...options, allow: true });
  expect(allowed.services['web']!.url).toContain(new URL(url).port);
  await allowed.close();
  expect(await readFile(join(folder, 'portal.lock'), 'utf8')).toContain(url);
  // As `portal allow` stores it.
  const surroundings = surroundingsOf(asked, options.home);
  const loaded = await load(loadOptions(surroundings, file));
  await new AllowStore(surroundings.paths.allowedDir).add(file, loaded.permissions);
  const again = closing(await upFrom(asked, file, options));
  expect(again.services['web']!.state).toBe('ready');
});

it('applies another configuration, and keeps the services that do not change', async () => {
  const { port } = await httpService(echo);
  const portal: Portal = await running({ relays: EMBEDDED, services: { web: port, old: port } });
  const { web, old } = portal.services;
  const services = { web: port, api: { target: port, inspect: true } };
  const applied = await portal.apply({ relays: EMBEDDED, services });
  expect(applied).toMatchObject({ event: 'applied', opened: ['api'], closed: ['old'], kept: ['web'] });
  await portal.ready();
  expect(portal.services['web']).toBe(web);
  expect(old!.state).toBe('closed');
  await portal.services['api']!.fetch('/x');
  expect((await portal.services['api']!.waitForRequest()).path).toBe('/x');
  const wrong = await rejected(portal.apply({ services: { web: 99_999 } }));
  expect(wrong.code).toBe('config_invalid');
  expect(await rejected(portal.apply({ identity: 'other.json', services }))).toMatchObject({
    code: 'restart_required',
  });
  expect((await web!.fetch('/')).status).toBe(201);
});

it('follows the saves of its file', async () => {
  const { port } = await httpService(echo);
  const text = `version: 1\nrelays: { embedded: { port: 0 } }\nservices:\n  web: ${port}\n`;
  const { file, options } = await project(text);
  const portal = closing(await up(file, { ...options, watch: true }));
  const wrong = portal.events.next('rejected', { timeoutMs: 60_000 });
  await writeFile(file, `${text}  api: { traget: 1 }\n`);
  expect((await wrong).errors).toMatchObject([{ line: 5, path: '/services/api/traget' }]);
  const applied = portal.events.next('applied', { timeoutMs: 60_000 });
  await writeFile(file, `${text}  api: ${port}\n`);
  expect((await applied).opened).toEqual(['api']);
  await portal.ready();
  expect((await portal.services['api']!.fetch('/')).status).toBe(201);
  expect(await rejected(up({ services: { web: port } }, { watch: true }))).toMatchObject({ code: 'usage' });
});

it('loads its file again on request', async () => {
  const { port } = await httpService(echo);
  const text = `version: 1\nrelays: { embedded: { port: 0 } }\nservices:\n  web: ${port}\n`;
  const { file, options } = await project(text);
  const portal = closing(await up(file, options));
  await writeFile(file, `${text}  api: ${port}\n`);
  expect((await portal.apply()).opened).toEqual(['api']);
});

it('returns at once without waiting, and reports when it is ready', async () => {
  const { port } = await httpService(echo);
  const portal = await running({ relays: EMBEDDED, services: { web: port } }, { wait: false });
  const { web } = portal.services;
  expect(web.state).toBe('starting');
  expect(() => web.url).toThrow('"web" has no URL yet');
  const ready = portal.events.next('ready', { timeoutMs: 60_000 });
  await portal.ready();
  expect((await ready).services['web']!.urls).toEqual([web.url]);
});

it('reports events in their order, to all listeners', async () => {
  const { port } = await httpService(echo);
  const seen: string[] = [];
  const portal = await running(
    { relays: EMBEDDED, services: { web: port } },
    { onEvent: ({ event, time }) => seen.push(`${event} ${Number.isNaN(Date.parse(time))}`) },
  );
  const phases: string[] = [];
  const stop = portal.events.on('lease', ({ service, phase }) => phases.push(`${service} ${phase}`));
  await portal.apply({ relays: EMBEDDED, services: { web: port, api: port } });
  stop();
  const stopped = portal.events.next('stopped');
  await portal.close();
  expect(await stopped).toMatchObject({ event: 'stopped', reason: 'closed' });
  expect(phases).toContain('api ready');
  expect(phases.some((phase) => phase.endsWith('closed'))).toBe(false);
  expect(seen[0]).toBe('started false');
  expect(seen.at(-1)).toBe('stopped false');
  expect(await rejected(portal.events.next('lease'))).toMatchObject({ code: 'aborted' });
});

it('can be aborted while it starts, and afterwards', async () => {
  const silent = `https://127.0.0.1:${await freePort()}`;
  const stop = new AbortController();
  const starting = running(
    { relays: { urls: [silent] }, services: { web: 1 } },
    { signal: stop.signal, onEvent: ({ event }) => event === 'lease' && stop.abort(new Error('enough')) },
  );
  await expect(starting).rejects.toThrow('enough');

  const later = new AbortController();
  const { port } = await httpService(echo);
  const portal = await running({ relays: EMBEDDED, services: { web: port } }, { signal: later.signal });
  const stopped = portal.events.next('stopped');
  later.abort();
  await stopped;
  expect(portal.services.web.state).toBe('closed');
});

it('names the services that are not ready in time, and why', async () => {
  const silent = `https://127.0.0.1:${await freePort()}`;
  const configuration = { relays: { urls: [silent] }, services: { web: 1 } };
  const late = await rejected(running(configuration, { timeoutMs: 500 }));
  expect(late).toMatchObject({
    code: 'timeout',
    message: expect.stringMatching(/^not ready: web/) as string,
  });
});

it('rejects with the error of a service that no relay accepts, and runs nothing', async () => {
  const { url, ca } = await relay();
  const { port } = await httpService(echo);
  const relays = { urls: [{ url, ca: ca.certificateFile }] };
  await running({ relays, services: { web: port } });
  const events: string[] = [];
  const other = running(
    { relays, services: { web: port, api: port } },
    { onEvent: ({ event }) => events.push(event) },
  );
  const error = await rejected(other);
  expect(error).toMatchObject({ code: 'name_taken', message: expect.stringMatching(/^web: /) as string });
  expect(events.at(-1)).toBe('stopped');
  const both = await running({ relays, services: { web: port, docs: port } }, { wait: false });
  await expect.poll(() => both.services.web.state).toBe('failed');
  expect(both.services.web.error?.code).toBe('name_taken');
  await expect.poll(() => both.services.docs.state).toBe('ready');
});

it('rejects with the error that ended the start', async () => {
  const server = createServer().listen(0, 'localhost');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const configuration = { relays: { embedded: { port } }, services: { web: 1 } };
  expect(await rejected(running(configuration))).toMatchObject({ code: 'address_in_use' });
  const portal = await running(configuration, { wait: false });
  expect(await rejected(portal.ready())).toMatchObject({ code: 'address_in_use' });
});

it('runs several configurations at once, with one identity', async () => {
  const home = await temporaryFolder();
  const { port } = await httpService(echo);
  const both = await Promise.all(
    [1, 2].map((n) => running({ relays: EMBEDDED, services: { [`web-${n}`]: port } }, { home })),
  );
  for (const { services } of both)
    for (const service of Object.values(services)) expect((await service.fetch('/')).status).toBe(201);
});
