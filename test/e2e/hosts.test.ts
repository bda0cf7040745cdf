/** The real program on machines whose hosts files differ: mount namespaces. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, type TestContext } from 'vitest';
import { hostsNamed, HOSTS_FILE_NAMES, type HostsFile } from '../support/hosts.js';
import { httpsGet } from '../support/visitor.js';
import { httpService } from '../support/world.js';
import { Person, type Running } from './cli-support.js';

async function machine(context: TestContext, name: HostsFile): Promise<readonly string[]> {
  const made = await hostsNamed(name);
  return 'skip' in made ? context.skip(made.skip) : made.within;
}

async function answerOf(running: Running): Promise<string> {
  const { ca } = await running.event('started');
  const ready = await running.event('ready');
  const [web] = Object.values(ready['services'] as Record<string, { urls: string[] }>);
  return httpsGet(web!.urls[0]!, String(ca));
}

test.for(HOSTS_FILE_NAMES)('portal up, embedded relay, hosts file: %s', async (name, context) => {
  const within = await machine(context, name);
  const person = await Person.create();
  const { port } = await httpService((_request, response) => response.end('up'));
  const config = { version: 1, relays: { embedded: { port: 0 } }, services: { web: port } };
  await writeFile(join(person.folder, 'portal.yaml'), JSON.stringify(config));
  expect(await answerOf(person.start(['up', '--json'], { within }))).toBe('up');
});

test.for(HOSTS_FILE_NAMES)('portal expose, hosts file: %s', async (name, context) => {
  const within = await machine(context, name);
  const person = await Person.create();
  const { port } = await httpService((_request, response) => response.end('exposed'));
  expect(await answerOf(person.start(['expose', String(port), '--json'], { within }))).toBe('exposed');
});
