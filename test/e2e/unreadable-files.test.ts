import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { asOtherUser } from '../support/other-user.js';
import { Person, type Finished } from './cli-support.js';

/** Root ignores permissions, so another user runs the commands. */

const CONFIG =
  'version: 1\nrelays: { urls: [{ url: https://localhost:1, ca: ./ca.pem }] }\nservices: { web: 3000 }\n';

test('validate says which file the user may not read', async (context) => {
  const within = await asOtherUser(context);
  const person = await Person.create();
  await chmod(person.folder, 0o755);
  const validate = (): Promise<Finished> => person.run(['validate'], { within, env: { PORTAL_ALLOW: '' } });
  const write = (name: string, content: string, mode: number): Promise<void> =>
    writeFile(join(person.folder, name), content, { mode });

  await write('portal.yaml', CONFIG, 0o644);
  await write('ca.pem', 'a certificate', 0o600);
  const ca = await validate();
  expect(ca.stderr).toContain('trusting the CA ca.pem (permission denied)');
  for (const name of ['portal.lock', '.env', 'portal.local.yaml', 'portal.yaml']) {
    await write(name, CONFIG, 0o600);
    await chmod(join(person.folder, name), 0o600);
    const { code, stderr } = await validate();
    expect([name, code]).toEqual([name, 2]);
    expect(stderr).toContain(`${name} cannot be read: permission denied (EACCES)`);
    expect(stderr).toContain('Give your user permission to read the file');
  }
});

test('service install names the files that the service could not read, and installs nothing', async (context) => {
  const within = await asOtherUser(context);
  const person = await Person.create();
  await chmod(person.folder, 0o755);
  const service = 'web: { target: 3000, tls: { cert: ./web.pem, key: ./web.key.pem } }';
  await writeFile(join(person.folder, 'portal.yaml'), `version: 1\nservices: { ${service} }\n`, {
    mode: 0o644,
  });
  await writeFile(join(person.folder, 'web.key.pem'), 'a key', { mode: 0o600 });
  const { code, stderr } = await person.run(['service', 'install'], { within, env: { PORTAL_ALLOW: '1' } });
  expect(code).toBe(2);
  expect(stderr).toContain('web.pem (tls of web) does not exist');
  expect(stderr).toContain('web.key.pem (tls of web) cannot be read: permission denied (EACCES)');
  expect(stderr).toContain('[config_unreadable]');
});
