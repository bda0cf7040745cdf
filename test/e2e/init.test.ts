/** `portal init` where portal.yaml exists. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { freePorts } from '../support/ports.js';
import { httpService } from '../support/world.js';
import { Person } from './cli-support.js';

let person: Person;
beforeEach(async () => {
  person = await Person.create();
});

const write = (name: string, text: string): Promise<void> => writeFile(join(person.folder, name), text);
const read = (name: string): Promise<string> => readFile(join(person.folder, name), 'utf8');

test('init replaces an empty portal.yaml, which validate calls empty', async () => {
  await write('portal.yaml', ' \n');
  expect((await person.run(['validate'])).stderr).toContain('run `portal init` to create one');
  expect((await person.run(['init', '--port', '3000'])).code).toBe(0);
  expect((await person.run(['validate'])).code).toBe(0);
  await write('portal.yaml', '# notes\n');
  expect((await person.run(['init', '--port', '3000'])).code).toBe(2);
  expect(await read('portal.yaml')).toBe('# notes\n');
});

test('init says whether a server listens on the port', async () => {
  const { port } = await httpService((_request, response) => response.end());
  expect((await person.run(['init', '--port', String(port)])).stderr).toContain(
    `service web forwards to port ${port} (--port), where a server listens. Publish it: portal up`,
  );
  await write('portal.yaml', '');
  const [free] = await freePorts(1);
  expect((await person.run(['init', '--port', String(free)])).stderr).toContain(
    `service web forwards to port ${free} (--port). Start your server there, then publish it: portal up`,
  );
});

test('a portal.yaml of another program is converted with the commands that validate prints', async () => {
  const ngrok = 'version: 3\nendpoints: [{ name: web, upstream: { url: 8080 } }]\n';
  await write('portal.yaml', ngrok);
  const { stderr } = await person.run(['validate']);
  expect((await person.run(['init', '--from', 'portal.yaml'])).stderr).toContain(
    'mv portal.yaml ngrok.yml && portal init --from ngrok.yml',
  );
  const [, from, to] = /mv (\S+) (\S+) && portal init --from \2/.exec(stderr)!;
  await rename(join(person.folder, from!), join(person.folder, to!));
  expect((await person.run(['init', '--from', to!])).code).toBe(0);
  expect((await person.run(['validate'])).code).toBe(0);
  expect(await read('ngrok.yml')).toBe(ngrok);
});
