import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { generateIdentity, privateKeyOf } from '../../src/identity/keys.js';
import { httpService, relay, type TestRelay } from '../support/world.js';
import { chain } from '../support/chain.js';
import { jsonLines, Person, type Line } from './cli-support.js';
import { Peer, settled } from './relay-peer.js';

/** `portal agents`: shows agents on several machines, and acts on them. */

const entry = ({ url, ca }: TestRelay): string => `{ url: '${url}', ca: '${ca.certificateFile}' }`;

/** A machine with a portal.yaml for these relays, and an identity that it may share with another machine. */
async function machine(
  relays: readonly TestRelay[],
  { identity = generateIdentity(), rest = '', services = '' } = {},
) {
  const person = await Person.create();
  const file = JSON.stringify({ version: 1, privateKey: privateKeyOf(identity), address: identity.address });
  await writeFile(join(person.folder, 'identity.json'), file, { mode: 0o600 });
  const write = (more = rest) =>
    writeFile(
      join(person.folder, 'portal.yaml'),
      `version: 1\nidentity: ./identity.json\n${more}\nrelays: { urls: [${relays.map(entry).join(', ')}] }\nservices: { ${services} }\n`,
    );
  await write();
  return { person, identity, write };
}

const NO_REMOTE_RELAY =
  'portal.yaml names no relay, and the embedded relay has no list of agents. To see your services, run: portal status\n';

const agentsOf = (line: Line) => line['agents'] as { machine: string; own: boolean; services: unknown[] }[];

it(
  'shows the agents of all machines on all relays, reports a relay that does not respond, and acts',
  { timeout: 60_000 },
  async () => {
    const { port } = await httpService((_request, response) => response.end('hello'));
    const [first, second] = [await relay(), await relay()];
    const laptop = await machine([first, second], { rest: 'machine: laptop', services: `web: ${port}` });
    const { identity } = laptop;
    const build = await machine([first], { identity, rest: 'machine: build-3', services: `ci: ${port}` });
    const [up, ci] = [laptop.person.start(['up', '--json']), build.person.start(['up', '--json'])];
    await Promise.all([up.event('ready'), ci.event('ready')]);
    const { person } = laptop;

    const table = async (args: readonly string[] = []) => person.run(['agents', ...args]);
    let shown = await table();
    // A lease's state arrives within a second.
    while (shown.stdout.split(' ready ').length < 4) shown = await table();
    expect(shown.stderr).toBe('');
    expect(shown.stdout).toMatch(
      /^build-3 · connected \d+s · id [0-9a-f]{12} · portal \S+ · from 127\.0\.0\.1$/m,
    );
    expect(shown.stdout).toMatch(new RegExp(`^ +ci +ready +https://ci.localhost:${first.port} +0`, 'm'));
    expect(shown.stdout).toMatch(new RegExp(`^ +web +ready +https://web.localhost:${second.port} `, 'm'));
    expect(shown.stdout).toMatch(new RegExp(`^web +${second.url} +yes +not reserved yet`, 'm'));
    // The same id on both.
    expect(shown.stdout.match(/^laptop · connected/gm)).toHaveLength(1);

    // A relay that does not respond does not affect the others.
    await second.close();
    const half = await table(['--json']);
    expect(half.code).toBe(0);
    const [of, error] = [jsonLines(half.stdout).find(({ event }) => event === 'agents')!, half];
    expect(
      agentsOf(of)
        .map((agent) => agent.machine)
        .toSorted(),
    ).toEqual(['build-3', 'laptop']);
    expect(jsonLines(error.stdout).find(({ event }) => event === 'error')).toMatchObject({
      relay: second.url,
      code: 'relay_unreachable',
    });

    const only = ['--relay', first.url];
    const served = await person.run(['agents', 'release', 'ci', ...only]);
    expect([served.code, served.stderr]).toEqual([1, expect.stringContaining('[name_in_use]')]);
    expect((await person.run(['agents', 'disconnect', 'nobody', ...only])).stderr).toContain('[not_found]');
    const done = await person.run(['agents', 'disconnect', 'build-3', ...only]);
    expect([done.code, done.stdout]).toEqual([0, `disconnected build-3 at ${first.url}\n`]);
    const failed = await ci.event('lease', ({ phase }) => phase === 'failed');
    expect(failed).toMatchObject({ error: { code: 'disconnected' } });
    const left = (await table(only)).stdout;
    expect(left).toMatch(/^build-3 · disconnected, last seen (just now|\d+ seconds? ago) at/m);
    expect((await person.run(['agents', 'release', 'ci', ...only])).stdout).toBe(
      `released ci at ${first.url}\n`,
    );
    const again = await person.run(['agents', 'release', 'ci', ...only]);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('[not_found]')]);
    // No relay responds.
    await first.close();
    expect((await table()).code).toBe(1);
    // The command stores no key, and stays signed in at no relay.
    expect(await readFile(join(person.folder, 'portal.lock'), 'utf8')).toContain(first.address);
  },
);

it('also queries relays that the running agent found in a list, and reports if it cannot', async () => {
  const { port } = await httpService((_request, response) => response.end('hello'));
  const at = await relay();
  const person = await Person.create();
  const write = (name: string, text: string) => writeFile(join(person.folder, name), text);
  await write('relays.json', JSON.stringify({ relays: [{ url: at.url, ca: at.ca.certificateFile }] }));
  await write(
    'portal.yaml',
    `version: 1\nmachine: laptop\nrelays: { registry: relays.json }\nservices: { web: ${port} }\n`,
  );
  await person.run(['identity', 'new']);
  const alone = await person.run(['agents']);
  expect([alone.code, alone.stderr]).toEqual([1, expect.stringContaining('none runs for this file')]);
  await person.start(['up', '--json']).event('ready');
  const shown = await person.run(['agents']);
  expect(shown.stderr).toBe('');
  expect(shown.stdout).toContain(`https://web.localhost:${at.port}`);
});

it('queries the relays in a shell without the variables of a service, and names that service', async () => {
  const at = await relay();
  const person = await Person.create();
  await person.run(['identity', 'new']);
  await writeFile(
    join(person.folder, 'portal.yaml'),
    `version: 1\nrelays: { urls: [{ url: '${at.url}', ca: '${at.ca.certificateFile}' }] }\n` +
      "services: { web: 1, api: { mode: http, target: 2, access: { pin: '${NO_SUCH_PIN}' } } }\n",
  );
  const { code, stdout, stderr } = await person.run(['agents']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'no agents\n' });
  expect(stderr).toMatch(/^service api is not queried: .*NO_SUCH_PIN/);
  expect((await person.run(['requests'])).stderr).toMatch(/^No requests recorded yet\./);
  expect((await person.run(['identity'])).code).toBe(0);
});

it('shows a team its agents, as long as the committed file lists it', async () => {
  const { port } = await httpService((_request, response) => response.end('hello'));
  const at = await relay();
  const other = await machine([at]);
  const team = `machine: laptop\nteam: ["${other.identity.address}"]`;
  const mine = await machine([at], { rest: team, services: `web: ${port}` });
  const up = mine.person.start(['up', '--json']);
  await up.event('ready');
  const look = async (): Promise<Line> =>
    jsonLines((await other.person.run(['agents', '--json'])).stdout).find(({ event }) => event === 'agents')!;
  expect(agentsOf(await look())).toMatchObject([
    { machine: 'laptop', own: false, identity: mine.identity.address },
  ]);
  const table = (await other.person.run(['agents'])).stdout;
  expect(table).toContain(`shared by ${mine.identity.address}`);
  expect(table).not.toMatch(/^NAME /m);
  expect((await other.person.run(['agents', 'disconnect', 'laptop'])).stderr).toContain('[not_found]');
  await mine.write('machine: laptop');
  await up.event('applied', ({ revision }) => revision === 2);
  let seen = await look();
  while (agentsOf(seen).length > 0) seen = await look();
  expect(at.counts().leases).toBe(1);
});

it('reports that a portal.yaml without remote relays has no relay to query', async () => {
  const person = await Person.create();
  await person.run(['identity', 'new']);
  await writeFile(join(person.folder, 'portal.yaml'), 'version: 1\nservices: { web: 1 }\n');
  for (const args of [[], ['disconnect', 'laptop'], ['release', 'web'], ['page']]) {
    const { code, stderr } = await person.run(['agents', ...args]);
    expect({ args, code }).toEqual({ args, code: args.length === 0 ? 0 : 1 });
    expect(stderr).toBe(NO_REMOTE_RELAY);
  }
  const json = await person.run(['agents', '--json']);
  expect(jsonLines(json.stdout)).toMatchObject([{ event: 'agents', agents: [], names: [] }]);
});

it('queries no relay that is used only in a chain: that would show it the identity and address', async () => {
  const { relays, entry: first, exit } = await chain(2);
  const person = await Person.create();
  await person.run(['identity', 'new']);
  await writeFile(
    join(person.folder, 'portal.yaml'),
    `version: 1\nchains: { hidden: [${relays.map(entry).join(', ')}] }\nservices: { web: { target: 1, via: hidden } }\n`,
  );
  const { code, stderr } = await person.run(['agents']);
  expect(code).toBe(1);
  expect(stderr).toContain(`${first.url} is not queried: it is used only in a chain`);
  expect(stderr).toContain(`${exit.url} is not queried`);
  expect([first, exit].map((each) => each.stats().signedIn)).toEqual([0, 0]);
});

it('checks a relay against its key in portal.lock, and reports a relay without this feature', async () => {
  const at = await relay();
  const without = await relay({ ca: at.ca, agents: false });
  const { person, identity } = await machine([at, without]);
  const peer = await Peer.open(at, { identity });
  await peer.lease('web');
  const trusted = await person.run(['agents']);
  expect(trusted.stdout).toContain('web');
  expect(trusted.stderr).toContain(`${without.url} does not show agents [capability_missing]`);
  const lock = `version: 1\nrelays:\n  ${at.url}: "${generateIdentity().address}"\n`;
  await writeFile(join(person.folder, 'portal.lock'), lock);
  const held = await person.run(['agents', '--relay', at.url, '--ca', at.ca.certificateFile]);
  expect([held.code, held.stdout]).toEqual([1, '']);
  expect(held.stderr).toContain('[relay_key_changed]');
});

it('a link to the page goes to this relay, and works there', async () => {
  const at = await relay({ agents: { webDir: import.meta.dirname } });
  const { person } = await machine([at]);
  const { stdout, stderr } = await person.run(['agents', 'page']);
  expect(stdout).toMatch(new RegExp(`^${at.url}/agents#[\\w-]{43}\n$`));
  expect(stderr).toContain('It works once');
  // The command itself has signed out.
  await settled(() => at.stats().signedIn === 0);
});
