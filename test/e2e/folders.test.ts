/** A folder as the target of a service: its files on a public name. */
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { httpsGet } from '../support/visitor.js';
import { jsonLines, Person } from './cli-support.js';

const ASKED = { PORTAL_ALLOW: '' };

async function project(services: string) {
  const person = await Person.create();
  await mkdir(join(person.folder, 'public'));
  await writeFile(join(person.folder, 'public', 'index.html'), '<h1>app</h1>');
  await writeFile(join(person.folder, 'public', 'app.js'), 'start()');
  const write = (text: string): Promise<void> =>
    writeFile(
      join(person.folder, 'portal.yaml'),
      `version: 1\nrelays: { embedded: { port: 0 } }\nservices:\n${text}\n`,
    );
  await write(services);
  return { person, write };
}

async function up(person: Person, args: readonly string[] = ['up']) {
  const agent = person.start([...args, '--json'], { env: ASKED });
  const { ca } = await agent.event('started');
  const ready = await agent.event('ready');
  const services = ready['services'] as Record<string, { urls: string[] }>;
  const get = (service: string, path: string): Promise<string> =>
    httpsGet(`${services[service]!.urls[0]!}${path}`, String(ca));
  return { agent, ready, get };
}

it('is served with its app for other paths, at once after a change, and without a question', async () => {
  const { person, write } = await project('  site: ./public');
  const { agent, get } = await up(person);
  expect(await get('site', '/app.js')).toBe('start()');
  expect(await get('site', '/shop/7')).toBe('<h1>app</h1>');
  await writeFile(join(person.folder, 'public', 'app.js'), 'changed()');
  expect(await get('site', '/app.js')).toBe('changed()');
  const status = await person.run(['status']);
  expect(status.stdout).toMatch(/site +ready .*\/public/);
  await mkdir(join(person.folder, 'other'));
  await writeFile(join(person.folder, 'other', 'index.html'), 'other');
  await write('  site: { target: ./other }');
  await eventually(async () => expect(await get('site', '/')).toBe('other'));
  agent.kill('SIGTERM');
  expect((await agent.finished).code).toBe(0);
});

it('is a route next to an API, also below a prefix', async () => {
  const { person } = await project('  site: { routes: { /docs: ./public, /: ./public } }');
  await mkdir(join(person.folder, 'public', 'guide'));
  await writeFile(join(person.folder, 'public', 'guide', 'index.html'), 'guide');
  const { agent, get } = await up(person);
  expect(await get('site', '/docs/app.js')).toBe('start()');
  expect(await get('site', '/docs/guide/')).toBe('guide');
  agent.kill('SIGTERM');
  await agent.finished;
});

it('is down while it does not exist', async () => {
  const { person } = await project('  site: ./missing');
  const { agent, ready } = await up(person);
  expect(ready['unreachable']).toEqual(['site']);
  const down = await agent.event('target', ({ reachable }) => reachable === false);
  expect(down['error']).toMatch(/^the folder \/.*missing does not exist$/);
  await rename(join(person.folder, 'public'), join(person.folder, 'missing'));
  await agent.event('target', ({ reachable }) => reachable === true);
  agent.kill('SIGTERM');
  await agent.finished;
});

it('needs a permission outside the project, and a link leads out of it only with one', async () => {
  const { person } = await project('  site: ../elsewhere');
  const asked = await person.run(['up'], { env: ASKED });
  expect(asked.stderr).toContain('not allowed yet to\n  use ');

  const { person: other } = await project('  site: ./public');
  const { agent, get } = await up(other);
  expect(await get('site', '/')).toBe('<h1>app</h1>');
  await rename(join(other.folder, 'public'), join(other.folder, 'before'));
  await symlink('/etc', join(other.folder, 'public'));
  expect(await get('site', '/passwd')).not.toContain('root:');
  const { stdout } = await other.run(['status', '--json']);
  expect(jsonLines(stdout)[0]).toMatchObject({
    leases: [{ targetError: expect.stringContaining('not allowed yet') as string }],
  });
  agent.kill('SIGTERM');
  await agent.finished;
});

it('is published by `portal expose`', async () => {
  const { person } = await project('  site: ./public');
  const { agent, get } = await up(person, ['expose', './public', '--name', 'site']);
  expect(await get('site', '/app.js')).toBe('start()');
  agent.kill('SIGTERM');
  await agent.finished;
});
