import { writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { capturedOutput } from '../../../test/e2e/cli-support.js';
import { temporaryFolder } from '../../../test/support/folder.js';
import { unconfine } from '../../lib/confined.js';
import { portalPaths } from '../../lib/paths.js';
import type { Context } from '../context.js';
import { load, type Loaded } from '../../library/load.js';
import { createStyle } from '../text/style.js';
import { describeRequest } from './describe.js';
import { createGate, notAllowedYet } from './gate.js';

let folder: string;
const CONFIG = 'version: 1\nrelays: { urls: [https://relay.example.com] }\nservices: { web: 3000 }\n';

beforeEach(async () => {
  folder = await temporaryFolder();
});

afterEach(unconfine);

/** A context with or without a terminal. */
function person({
  isTTY = true,
  env = {},
  json = false,
}: { isTTY?: boolean; env?: NodeJS.ProcessEnv; json?: boolean } = {}) {
  const stdin = Object.assign(new PassThrough(), { isTTY });
  const { output, text } = capturedOutput({ isTTY, columns: 1_000 });
  const context: Context = {
    argv: [],
    env,
    cwd: folder,
    stdin,
    stdout: capturedOutput().output,
    stderr: output,
    paths: portalPaths({ PORTAL_HOME: join(folder, 'home') }),
    json,
    verbosity: 'normal',
  };
  return { context, stdin, text };
}

async function loaded(text = CONFIG): Promise<Loaded> {
  await writeFile(join(folder, 'portal.yaml'), text);
  return load({ cwd: folder, env: {}, userName: 'zoe' });
}

async function answered(asked: Loaded, typed: string) {
  const { context, stdin, text } = person();
  const answer = createGate(context, {}).ask(asked);
  stdin.write(typed);
  return { exit: await answer, text: text() };
}

it('does not ask if nothing needs a permission', async () => {
  const { context } = person({ isTTY: false });
  expect(
    await createGate(context, {}).ask(await loaded('version: 1\nservices: { web: 3000 }\n')),
  ).toBeUndefined();
});

it('shows what is published where, asks once, and remembers the answer', async () => {
  const text = `version: 1
relays: { urls: [https://relay.example.com, https://two.example.com] }
services:
  web: { target: 3000, name: "w-\${user}" }
  db: { mode: tcp, target: db.internal:5432 }
`;
  const { exit, text: shown } = await answered(await loaded(text), 'y\r');
  expect(exit).toBeUndefined();
  expect(
    stripVTControlCharacters(shown)
      .split('\n')
      .slice(0, 11)
      .map((line) => line.trimEnd()),
  ).toEqual([
    'portal.yaml asks to',
    '  publish at https://relay.example.com (new)',
    '    web: localhost:3000',
    '    db: db.internal:5432',
    '  publish at https://two.example.com (new)',
    '    web: localhost:3000',
    '    db: db.internal:5432',
    "  get certificates from Let's Encrypt, agreeing to this CA's terms of service",
    '  reach db.internal:5432 (db)',
    '  send ${user} (your user name) to https://relay.example.com',
    '  send ${user} (your user name) to https://two.example.com',
  ]);
  expect(await createGate(person({ isTTY: false }).context, {}).ask(await loaded(text))).toBeUndefined();
});

it('marks what a change adds', async () => {
  await answered(await loaded(), 'y\r');
  const { text } = await answered(
    await loaded(CONFIG.replace('web: 3000', 'web: { name: "w-${user}", target: 3000 }')),
    'n\r',
  );
  const shown = stripVTControlCharacters(text);
  expect(shown).toContain('send ${user} (your user name) to https://relay.example.com (new)');
  expect(shown).not.toContain('publish at https://relay.example.com (');
});

it('starts nothing unless the answer is yes', async () => {
  const { exit, text } = await answered(await loaded(), '\r');
  expect(exit).toBe(2);
  expect(text).toContain('Portal started nothing.');
  expect((await answered(await loaded(), '\u0003')).exit).toBe(130);
});

it.each([{ isTTY: false }, { json: true }])(
  'fails with the permissions if it cannot ask: %j',
  async (how) => {
    await expect(createGate(person(how).context, {}).ask(await loaded())).rejects.toMatchObject({
      code: 'config_not_allowed',
      exitCode: 2,
      message: expect.stringContaining(
        'not allowed yet to\n  publish at https://relay.example.com',
      ) as string,
    });
  },
);

it('does not ask with --yes or PORTAL_ALLOW=1, and remembers neither', async () => {
  const asked = await loaded();
  const closed = person({ isTTY: false }).context;
  expect(await createGate(closed, { yes: true }).ask(asked)).toBeUndefined();
  expect(await createGate({ ...closed, env: { PORTAL_ALLOW: '1' } }, {}).ask(asked)).toBeUndefined();
  await expect(createGate(closed, {}).ask(asked)).rejects.toMatchObject({ code: 'config_not_allowed' });
  await expect(createGate({ ...closed, env: { PORTAL_ALLOW: '0' } }, {}).ask(asked)).rejects.toMatchObject({
    code: 'config_not_allowed',
  });
});

it('names the file in the command to run, from another folder', async () => {
  const asked = await loaded();
  const { context, stdin, text } = person();
  const elsewhere = { ...context, cwd: dirname(folder) };
  const file = `${basename(folder)}/portal.yaml`;
  const answer = createGate(elsewhere, {}).ask(asked);
  stdin.write('n\r');
  expect(await answer).toBe(2);
  expect(text()).toContain(`run: portal allow -f ${file}`);
  const closed = { ...person({ isTTY: false }).context, cwd: dirname(folder) };
  await expect(createGate(closed, {}).ask(asked)).rejects.toMatchObject({
    hint: `Check what it asks for, then run \`portal allow -f ${file}\`. In CI and in containers set PORTAL_ALLOW=1, or run \`portal up --yes -f ${file}\`.`,
  });
  expect((await notAllowedYet(closed, asked)).lines[0]).toBe(`not allowed yet (portal allow -f ${file}):`);
  expect(await createGate(closed, {}).admit(asked)).toMatchObject({
    problems: [
      { message: expect.stringContaining('publish at') as string },
      { hint: `Check the file, then run \`portal allow -f ${file}\`.` },
    ],
  });
});

it('runs what it showed, even if the file changed since', async () => {
  const { context, stdin } = person();
  const asked = await loaded();
  const gate = createGate(context, {});
  const answer = gate.ask(asked);
  const edited = await loaded(CONFIG.replace('relay.example.com', 'evil.example.com'));
  stdin.write('y\r');
  expect(await answer).toBeUndefined();
  expect(await gate.admit(edited)).toMatchObject({ ok: false });
});

it('accepts a save within the permissions, and rejects one beyond them with its position', async () => {
  await answered(await loaded(), 'y\r');
  const gate = createGate(person({ isTTY: false }).context, {});
  expect(await gate.admit(await loaded(CONFIG.replace('web: 3000', 'web: 3001, api: 4000')))).toMatchObject({
    ok: true,
  });
  const beyond = await gate.admit(await loaded(`${CONFIG}identity: /etc/other.json\n`));
  expect(beyond).toMatchObject({
    ok: false,
    problems: [
      {
        code: 'config_not_allowed',
        line: 4,
        message: 'not allowed yet: use /etc/other.json (identity)',
        hint: expect.stringContaining('portal allow') as string,
      },
    ],
  });
});

it('shows the CA of a relay, and whether the relay is new', async () => {
  const lines = async (file: string, text: string): Promise<string[]> => {
    await writeFile(join(folder, file), text);
    const asked = await load({ file, cwd: folder, env: {}, userName: 'zoe' });
    const { text: shown } = await answered(asked, 'y\r');
    return stripVTControlCharacters(shown)
      .split('\n')
      .map((line) => line.trimEnd())
      .slice(0, 4);
  };
  const withCa = CONFIG.replace(
    '[https://relay.example.com]',
    '[{ url: "https://relay.example.com", ca: ./ca.pem }]',
  );
  expect(await lines('one.yaml', CONFIG)).toContain('  publish at https://relay.example.com (new)');
  expect(await lines('two.yaml', CONFIG)).toContain(
    '  publish at https://relay.example.com (new for this file)',
  );
  await writeFile(join(folder, 'ca.pem'), 'one');
  const first = [
    'one.yaml asks to',
    '  publish at https://relay.example.com (with a new CA)',
    '    trusting the CA ca.pem (SHA-256 7692c3ad3540bb80…)',
    '    web: localhost:3000',
  ];
  expect(await lines('one.yaml', withCa)).toEqual(first);
  await writeFile(join(folder, 'ca.pem'), 'two');
  expect((await lines('one.yaml', withCa))[2]).toBe('    trusting the CA ca.pem (SHA-256 3fc4ccfe745870e2…)');
});

it('cuts long values in the middle, but shows hosts whole', async () => {
  const label = 'h'.repeat(60);
  const host = `${label}.${label}.${label}.example.com`;
  const { text } = await answered(
    await loaded(`version: 1
relays: { urls: ["https://${host}"], registry: "https://${host}/${'p'.repeat(3_000)}.json" }
identity: "/etc/${'i'.repeat(3_000)}.json"
services:
  ${'s'.repeat(60)}: { mode: tcp, target: "${host}:5432" }
  socket: "unix:/run/${'u'.repeat(80)}.sock"
`),
    'n\r',
  );
  const lines = stripVTControlCharacters(text).split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(400);
  expect(text).toContain(`publish at https://${host}`);
  expect(text).toContain(`: ${host}:5432`);
  expect(text).toMatch(new RegExp(`https://${host}/p+…p+\\.json`));
  expect(text).toMatch(/use \/etc\/i+…i+\.json \(identity\)/);
});

it('shows no control characters of the file', async () => {
  const { text } = await answered(await loaded(`${CONFIG}identity: "/etc/\\e[2J\\u202e.json"\n`), 'n\r');
  expect(text).toContain('use /etc/ [2J .json (identity)');
});

it('shows who may visit a service', async () => {
  const ranges = '["85.99.254.169", "10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]';
  const config = CONFIG.replace(
    'web: 3000',
    `web: { target: 3000, access: { pin: "2580-1379", allowIps: ${ranges} } }`,
  );
  const { desired, permissions } = await loaded(config);
  const lines = describeRequest(
    { desired, permissions, missing: permissions, known: [] },
    createStyle(false),
  );
  expect(lines).toContain(
    '  web: localhost:3000, only from 85.99.254.169, 10.0.0.0/8, 2001:db8::/32 and 1 more, with a PIN',
  );
});
