/** The real program on machines with different hosts files: mount namespaces. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, type TestContext } from 'vitest';
import { hostsNamed, HOSTS_FILE_NAMES, type HostsFile } from '../support/hosts.js';
import { hasIpv6 } from '../support/ipv6.js';
import { httpsGet } from '../support/visitor.js';
import { httpService } from '../support/world.js';
import { Person, type Running } from './cli-support.js';

async function machine(context: TestContext, name: HostsFile): Promise<readonly string[]> {
  const made = await hostsNamed(name);
  return 'skip' in made ? context.skip(made.skip) : made.within;
}

/** The visitors' responses at each loopback address. Both are the same. */
async function answersOf(running: Running): Promise<string[]> {
  const { ca } = await running.event('started');
  const ready = await running.event('ready');
  const [web] = Object.values(ready['services'] as Record<string, { urls: string[] }>);
  const [url, caFile] = [web!.urls[0]!, String(ca)];
  const loopbacks = ['127.0.0.1', ...(hasIpv6 ? ['::1'] : [])];
  const answers = await Promise.all(loopbacks.map((host) => httpsGet(url, caFile, host)));
  return [...new Set(answers)];
}

test.for(HOSTS_FILE_NAMES)(
  'portal up with an embedded relay works with this hosts file: %s',
  async (name, context) => {
    const within = await machine(context, name);
    const person = await Person.create();
    const { port } = await httpService((_request, response) => response.end('up'));
    const config = { version: 1, relays: { embedded: { port: 0 } }, services: { web: port } };
    await writeFile(join(person.folder, 'portal.yaml'), JSON.stringify(config));
    expect(await answersOf(person.start(['up', '--json'], { within }))).toEqual(['up']);
  },
);

test.for(HOSTS_FILE_NAMES)('portal expose works with this hosts file: %s', async (name, context) => {
  const within = await machine(context, name);
  const person = await Person.create();
  const { port } = await httpService((_request, response) => response.end('exposed'));
  expect(await answersOf(person.start(['expose', String(port), '--json'], { within }))).toEqual(['exposed']);
});
