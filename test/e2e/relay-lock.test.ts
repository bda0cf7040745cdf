/** portal.lock and `identity:` of a service, as people and CI see them. */
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { loadIdentity } from '../../src/identity/file.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { httpService, relay, type TestRelay } from '../support/world.js';
import { jsonLines, Person, type Line } from './cli-support.js';

let person: Person;
let target: number;
beforeEach(async () => {
  person = await Person.create();
  ({ port: target } = await httpService((_request, response) => response.end('here')));
});

const inFolder = (name: string): string => join(person.folder, name);
const lockText = (): Promise<string> => readFile(inFolder('portal.lock'), 'utf8');
const write = (text: string, name = 'portal.yaml'): Promise<void> => writeFile(inFolder(name), text);

function config(at: TestRelay, web: string = String(target)): string {
  return `version: 1\nrelays: { urls: [{ url: '${at.url}/', ca: '${at.ca.certificateFile}' }] }\nservices:\n  web: ${web}\n`;
}

const owned = (address: string): string => `{ target: ${target}, identity: ${address} }`;

const codeOf = ({ error }: Line): unknown => (error as { code?: unknown } | undefined)?.code;

describe('portal.lock', () => {
  it('records a relay, and rejects another key on its URL until the line is removed', async () => {
    const first = await relay();
    await write(config(first));
    const up = person.start(['up', '--json']);
    await up.event('ready');
    expect(await lockText()).toContain(`\n  ${first.url}: "${first.address}"\n`);

    await first.close();
    const second = await relay({ ca: first.ca, port: first.port });
    const refused = await up.event('lease', ({ phase }) => phase === 'failed');
    expect(refused['error']).toMatchObject({
      code: 'relay_key_changed',
      message: expect.stringMatching(
        new RegExp(`${second.address}.*portal\\.lock, line 6, has ${first.address}`),
      ) as string,
      hint: expect.stringContaining('delete that line') as string,
    });
    await expect.poll(() => second.counts().sessions).toBe(0);
    const doctor = await person.run(['doctor', '--json']);
    expect(doctor.code).toBe(1);
    const found = jsonLines(doctor.stdout).find(({ check }) => check === 'relay.key');
    expect(found).toMatchObject({
      level: 'problem',
      message: expect.stringContaining(second.address) as string,
    });

    await write((await lockText()).replace(/^ {2}https.*\n/m, ''), 'portal.lock');
    const lines = jsonLines(up.stdout).length;
    await up.event('lease', ({ phase }, index) => index >= lines && phase === 'ready');
    expect(await lockText()).toContain(`\n  ${first.url}: "${second.address}"\n`);
  });

  it('that cannot be written is reported, in the log as well, and keys are still checked', async () => {
    const at = await relay();
    await write(config(at));
    await write('version: 1\nrelays: {}\n', 'portal.lock');
    await chmod(inFolder('portal.lock'), 0o444);
    const up = person.start(['up', '--json']);
    await up.event('ready');
    expect(await up.line(/^warning: .*portal\.lock cannot be written \(it is read-only\)/)).toBeDefined();
    expect((await person.run(['logs'])).stdout).toMatch(/portal\.lock cannot be written/);
    expect(await lockText()).toBe('version: 1\nrelays: {}\n');
  });

  it('is unchanged with --frozen, which rejects relays that are not in it', async () => {
    const at = await relay();
    await write(config(at));
    const refused = await person.run(['up', '--frozen', '--json']);
    expect(refused.code).toBe(1);
    const failed = jsonLines(refused.stdout).find(({ phase }) => phase === 'failed');
    expect(codeOf(failed!)).toBe('relay_not_locked');
    expect(await readdir(person.folder)).not.toContain('portal.lock');

    person.downAfterTest();
    expect((await person.run(['up', '--wait'])).code).toBe(0);
    expect((await person.run(['down'])).code).toBe(0);
    const before = await lockText();
    expect((await person.run(['up', '--frozen', '--wait'])).code).toBe(0);
    expect(await lockText()).toBe(before);
    const stdin = await person.run(['up', '--frozen', '-f', '-'], { stdin: 'version: 1\nservices: {}\n' });
    expect(stdin).toMatchObject({ code: 2, stderr: expect.stringContaining('standard input') as string });
  });

  it('with merge conflicts is reported with its line by every command that reads it', async () => {
    const at = await relay();
    await write(config(at));
    await write('version: 1\nrelays:\n<<<<<<< HEAD\n', 'portal.lock');
    for (const command of ['up', 'plan', 'validate']) {
      const { code, stdout } = await person.run([command, '--json']);
      expect({ command, code }).toEqual({ command, code: 2 });
      expect(jsonLines(stdout)[0]).toMatchObject({
        event: 'rejected',
        errors: [{ file: inFolder('portal.lock'), line: 3, code: 'lock_invalid' }],
      });
    }
    const doctor = jsonLines((await person.run(['doctor', '--json'])).stdout);
    expect(doctor.find(({ check }) => check === 'configuration.lock')).toMatchObject({ level: 'problem' });
    expect(await lockText()).toContain('<<<<<<<');
  });

  it('appears in plan and validate', async () => {
    const at = await relay();
    await write(config(at));
    expect((await person.run(['plan'])).stderr).toContain(
      `portal up will save the relay's key in portal.lock`,
    );
    const lock = async (command: string): Promise<unknown> =>
      jsonLines((await person.run([command, '--json'])).stdout)[0]!['lock'];
    const file = inFolder('portal.lock');
    expect(await lock('validate')).toEqual({ file, relays: { [at.url]: null } });
    await write(`version: 1\nrelays: { "${at.url}": "${at.address}" }\n`, 'portal.lock');
    expect(await lock('plan')).toEqual({ file, relays: { [at.url]: at.address } });
    expect((await person.run(['validate'])).stderr).not.toContain('portal.lock');
  });

  it('is not written for the embedded relay, nor without a file', async () => {
    const at = await relay();
    await write(`version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: ${target} }\n`);
    const up = person.start(['up', '--json']);
    await up.event('ready');
    const expose = person.start([
      'expose',
      String(target),
      '--relay',
      at.url,
      '--ca',
      at.ca.certificateFile,
      '--json',
    ]);
    await expose.event('ready');
    const stdin = person.start(['up', '-f', '-', '--json'], { stdin: config(at) });
    await stdin.event('ready');
    expect(await readdir(person.folder)).not.toContain('portal.lock');
  });
});

describe('the identity that owns a service', () => {
  it('causes an error with its position for another identity, before anything opens', async () => {
    const at = await relay();
    const { address: other } = generateIdentity();
    await write(config(at, owned(other)));
    const none = await person.run(['up', '--json']);
    expect(none.code).toBe(2);
    expect(none.stdout).toContain('this machine has no identity yet');
    expect(await readdir(person.folder)).toEqual(['portal.yaml']);

    const { address: mine } = await loadIdentity(join(person.home, 'identity.json'), { create: true });
    for (const command of ['up', 'plan']) {
      const { code, stdout } = await person.run([command, '--json']);
      expect({ command, code }).toEqual({ command, code: 2 });
      const errors = jsonLines(stdout)[0]!['errors'] as Line[];
      expect(errors).toMatchObject([
        {
          file: 'portal.yaml',
          line: 4,
          column: owned(other).indexOf('0x') + '  web: '.length + 1,
          path: '/services/web/identity',
          code: 'identity_mismatch',
        },
      ]);
      expect(errors[0]!['message']).toBe(`service "web" belongs to ${other}, but this machine has ${mine}`);
    }
    expect(at.counts().sessions).toBe(0);
    const doctor = jsonLines((await person.run(['doctor', '--json'])).stdout);
    expect(doctor.find(({ check }) => check === 'identity.owner')).toMatchObject({ level: 'problem' });
    expect((await person.run(['validate'])).code).toBe(0);
  });

  it('is accepted in any case, and only for services that will run; an invalid save changes nothing', async () => {
    const at = await relay();
    const { address: mine } = await loadIdentity(join(person.home, 'identity.json'), { create: true });
    const { address: other } = generateIdentity();
    const text = config(at, owned(`0x${mine.slice(2).toUpperCase()}`));
    await write(`${text}  shop: ${owned(other)}\n`);
    const up = person.start(['up', 'web', '--json']);
    await up.event('ready');
    await write(`${config(at, owned(other))}  shop: ${target}\n`);
    const rejected = await up.event('rejected');
    expect(rejected['errors']).toMatchObject([{ line: 4, code: 'identity_mismatch' }]);
    const status = jsonLines((await person.run(['status', '--json'])).stdout)[0]!;
    expect(status['leases']).toMatchObject([{ service: 'web', phase: 'ready' }]);
  });
});
