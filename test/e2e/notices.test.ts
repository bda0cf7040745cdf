import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { RecordType } from 'dns-packet';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { programFor } from '../support/debian.js';
import { systemDns, type Said } from '../support/dns-server.js';
import { hostsFile } from '../support/hosts.js';
import { httpService, relay } from '../support/world.js';
import { jsonLines, Person, type Line } from './cli-support.js';

/**
 * New files and values that differ from the requested ones are reported once: a line on stderr, and an event with
 * --json.
 */

let person: Person;
beforeEach(async () => {
  person = await Person.create();
});

const write = (config: object): Promise<void> =>
  writeFile(join(person.folder, 'portal.yaml'), JSON.stringify({ version: 1, ...config }));

/**
 * Occupies this port of 127.0.0.1 once no test beside this one uses it. A program that keeps it occupies it just as well.
 */
async function occupied(port: number): Promise<number> {
  const server = createServer();
  const listen = async (): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await vi.waitFor(listen, { timeout: 20_000, interval: 50 }).catch(() => undefined);
  onTestFinished(() => void server.close());
  return port === 0 ? (server.address() as AddressInfo).port : port;
}

const webService = () => httpService((_request, response) => response.end('hello'));

/** The notices so far. */
const notices = (stdout: string): Line[] =>
  jsonLines(stdout.slice(0, stdout.lastIndexOf('\n') + 1)).filter(({ event }) => event === 'notice');

it('a port of the embedded relay that is in use: reports the other port, and uses it everywhere', async () => {
  await occupied(8443);
  const { port } = await webService();
  await write({ services: { web: port } });
  const up = person.start(['up', '--json']);
  await up.event('ready');
  const [inUse] = notices(up.stdout).filter(({ kind }) => kind === 'port_in_use');
  const used = Number(inUse!['port']);
  expect(inUse).toMatchObject({
    askedPort: 8443,
    message: expect.stringMatching(
      new RegExp(
        `^port 8443 is in use( by .+ \\(pid \\d+\\))?, so the embedded relay uses ${used} this time; `,
      ),
    ) as string,
  });
  const key = `embedded:${used}`;
  const lines = jsonLines(up.stdout.slice(0, up.stdout.lastIndexOf('\n') + 1));
  const leases = lines.filter(({ event }) => event === 'lease');
  expect(new Set(leases.map(({ relay: at }) => at))).toEqual(new Set([key]));
  const json = async (...args: string[]): Promise<string> => (await person.run([...args, '--json'])).stdout;
  const text = async (...args: string[]): Promise<string> => (await person.run(args)).stdout;
  expect(JSON.parse(await json('status'))).toMatchObject({
    relays: [{ relay: key, state: 'connected' }],
    leases: [{ relay: key, url: `https://web.localhost:${used}` }],
  });
  expect(JSON.parse(await json('plan'))).toMatchObject({ actions: [{ kind: 'keep', relay: key }] });
  expect(jsonLines(await json('list'))[0]).toMatchObject({ url: key, source: 'embedded' });
  for (const command of [['status'], ['list'], ['logs'], ['doctor']])
    expect((await text(...command)).replaceAll('port 8443', '')).not.toContain('8443');
  // A save is planned against the running configuration, and moves nothing.
  await write({ services: { web: port, api: port } });
  await up.event('lease', ({ service, phase }) => service === 'api' && phase === 'ready');
  expect(notices(up.stdout).filter(({ kind }) => kind === 'port_in_use')).toHaveLength(1);
  expect((await up.event('applied', ({ revision }) => revision === 2))['kept']).toEqual(['web']);
}, 60_000);

it('shows it to people as a line', async () => {
  await occupied(8443);
  const { port } = await webService();
  await write({ services: { web: port } });
  const up = person.start(['up']);
  await up.line(/all services are ready/);
  expect(up.stderr).toMatch(
    /^port 8443 is in use.*, so the embedded relay uses \d+ this time; to choose a port, set relays:/m,
  );
  expect(up.stderr.replace(/^port 8443 .*$/m, '')).not.toContain('8443');
}, 60_000);

it('never replaces a port that was requested by number', async () => {
  const taken = await occupied(0);
  await write({ relays: { embedded: { port: taken } }, services: { web: (await webService()).port } });
  const { code, stderr } = await person.run(['up']);
  expect(code).toBe(1);
  expect(stderr).toContain(`port ${taken} for the embedded relay is in use`);
  expect(stderr).not.toContain('is in use, using');
}, 60_000);

it('reports portal.lock when it appears and when a relay is added, and not again', async () => {
  const [one, two] = [await relay(), await relay()];
  const { port } = await webService();
  const urls = (...relays: (typeof one)[]) => relays.map(({ url, ca }) => ({ url, ca: ca.certificateFile }));
  await write({ relays: { urls: urls(one) }, services: { web: port } });
  const up = person.start(['up', '--json']);
  const file = join(person.folder, 'portal.lock');
  const written = await up.event('notice', ({ kind }) => kind === 'lock_written');
  expect(written).toMatchObject({ message: 'wrote portal.lock; commit it', file, relay: one.url });
  await up.event('ready');
  await write({ relays: { urls: urls(one, two) }, services: { web: port } });
  const changed = await up.event('notice', ({ kind }) => kind === 'lock_changed');
  const authority = new URL(two.url).host;
  expect(changed).toMatchObject({ message: `added ${authority} to portal.lock`, file, relay: two.url });
  await up.event('lease', ({ relay: at, phase }) => at === two.url && phase === 'ready');
  expect(await readFile(file, 'utf8')).toContain(two.url);
  up.kill('SIGINT');
  await up.finished;

  const again = person.start(['up']);
  await again.line(/all services are ready/);
  expect(again.stderr).not.toContain('portal.lock');
}, 60_000);

it('shows people the new portal.lock, even in the background', async () => {
  const one = await relay();
  await write({
    relays: { urls: [{ url: one.url, ca: one.ca.certificateFile }] },
    services: { web: (await webService()).port },
  });
  person.downAfterTest();
  const { code, stderr } = await person.run(['up', '--wait']);
  expect(code).toBe(0);
  expect(stderr).toMatch(/^wrote portal\.lock; commit it$/m);
}, 60_000);

it('reports an identity and a local CA once, and names with ${id} use the new identity from the start', async () => {
  const { port } = await webService();
  await write({ relays: { embedded: { port: 0 } }, services: { web: { target: port, name: 'web-${id}' } } });
  const first = person.start(['up', '--json']);
  await first.event('lease', ({ phase }) => phase === 'ready');
  const reported = notices(first.stdout);
  expect(reported.map(({ kind }) => kind)).toEqual(['identity_created', 'ca_created']);
  const [identity, ca] = reported;
  expect(identity!['message']).toMatch(
    /^created identity 0x\w{40} in .*; keep a copy: portal identity export$/,
  );
  expect(ca!['message']).toMatch(/^created a local CA, .*ca\.pem; trust it: portal trust --install$/);
  const { event, address } = jsonLines((await person.run(['identity', 'show', '--json'])).stdout)[0]!;
  expect({ event, address }).toEqual({ event: 'identity', address: identity!['address'] });
  const id = String(address).slice(2, 10).toLowerCase();
  expect(first.stdout).toContain(`https://web-${id}.localhost:`);
  first.kill('SIGINT');
  await first.finished;
  const second = person.start(['up', '--json']);
  await second.event('ready');
  expect(notices(second.stdout)).toEqual([]);
}, 60_000);

it('reports the inspector’s other port', async () => {
  await occupied(4040);
  const spec = { mode: 'http', target: (await webService()).port, inspect: true };
  await write({ relays: { embedded: { port: 0 } }, services: { web: spec } });
  const up = person.start(['up']);
  const line = await up.line(/inspector uses/);
  const [, used] = /^port 4040 is in use.*; the inspector uses (\d+)$/.exec(line)!;
  expect(await up.line(/^inspector: /)).toContain(`http://127.0.0.1:${used}/`);
}, 60_000);

it('expose reports the identity and the local CA that it created', async () => {
  const { port } = await webService();
  const expose = person.start(['expose', String(port), '--relay', 'https://localhost:1', '--json']);
  await expose.event('lease', ({ phase }) => phase === 'retrying');
  expect(notices(expose.stdout).slice(0, 2)).toMatchObject([
    { kind: 'identity_created', file: join(person.home, 'identity.json') },
    { kind: 'ca_created', file: join(person.home, 'ca', 'ca.pem') },
  ]);
});

it('a relay without a DNS record for the names of services: reports it once', async (context) => {
  const openssl = await programFor(context, 'openssl');
  const [domain, at] = ['relay.example.com', (name: string) => join(person.folder, name)];
  const names = `subjectAltName=DNS:${domain},DNS:*.${domain}`;
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const files = ['-keyout', at('key.pem'), '-out', at('cert.pem')];
  await promisify(execFile)(openssl, [...request, ...files, '-subj', `/CN=${domain}`, '-addext', names], {
    timeout: 20_000,
  });
  const answer = (name: string, type: RecordType): Said =>
    name === domain && type === 'A' ? [{ type, name, ttl: 1, data: '127.0.0.1' }] : [];
  const { resolvConf } = await systemDns(context, answer);
  const made = await hostsFile('127.0.0.1 localhost\n', resolvConf);
  const within = 'skip' in made ? context.skip(made.skip) : made.within;
  const tls = { cert: at('cert.pem'), key: at('key.pem') };
  const args = ['--domain', domain, '--listen', '127.0.0.1:0', '--cert', tls.cert, '--key', tls.key];
  const { url } = await person.start(['relay', '--json', '--log-level', 'error', ...args]).event('listening');
  const { port: target } = await webService();
  const web = { target, mode: 'http', tls };
  await write({ relays: { urls: [{ url, ca: tls.cert }] }, services: { web, api: web } });
  const up = person.start(['up', '--json'], { within });
  const notice = await up.event('notice', ({ kind }) => kind === 'dns_missing');
  expect(notice).toMatchObject({
    domain,
    name: `${String(notice['service'])}.${domain}`,
    message: expect.stringContaining(`*.${domain} needs a DNS record that points to ${domain}`) as string,
  });
  await up.event('ready');
  up.kill('SIGTERM');
  expect(notices((await up.finished).stdout).filter(({ kind }) => kind === 'dns_missing')).toHaveLength(1);
});
