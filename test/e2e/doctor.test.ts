import { createSocket } from 'node:dgram';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { RecordType } from 'dns-packet';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { freePorts } from '../support/ports.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { loadIdentity } from '../../src/identity/file.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { describeRelay } from '../../src/relay/descriptor.js';
import { connectProxy } from '../support/connect-proxy.js';
import { dnsServer, type Said } from '../support/dns-server.js';
import { rejectingCa } from '../support/fake-ca.js';
import { oidcProvider } from '../support/oidc-provider.js';
import { httpService, relay, tcpService } from '../support/world.js';
import { jsonLines, Person, type Line } from './cli-support.js';

let person: Person;
beforeEach(async () => {
  person = await Person.create();
});

const write = (text: string): Promise<void> => writeFile(join(person.folder, 'portal.yaml'), text);

interface Examined {
  readonly code: number | null;
  readonly lines: Line[];
  /** Findings of one check, as `level: message`. */
  readonly of: (check: string) => string[];
  readonly hints: (check: string) => string;
}

async function examine(...args: string[]): Promise<Examined> {
  return examineIn({}, ...args);
}

async function examineIn(env: NodeJS.ProcessEnv, ...args: string[]): Promise<Examined> {
  const { code, stdout } = await person.run(['doctor', '--json', ...args], { env });
  const lines = jsonLines(stdout);
  const of = (check: string): Line[] => lines.filter((line) => line['check'] === check);
  return {
    code,
    lines,
    of: (check) => of(check).map(({ level, message }) => `${String(level)}: ${String(message)}`),
    hints: (check) =>
      of(check)
        .map(({ hint }) => String(hint))
        .join('\n'),
  };
}

it('says what visitors get while a target is down, by its mode', async () => {
  await write('version: 1\nservices:\n  web: 1\n  db: { mode: tcp, target: 1 }\n');
  const { code, hints } = await examine();
  expect(code).toBe(1);
  expect(hints('service.target').split('\n')).toEqual([
    'Start the service, or correct `target`. Until then, visitors get a 503 page.',
    'Start the service, or correct `target`. Until then, connections are reset.',
  ]);
});

it('names the file in the commands that it suggests', async () => {
  await writeFile(join(person.folder, 'other.yaml'), 'version: 1\nservices: { web: 1 }\n');
  const { of } = await examine('-f', 'other.yaml');
  expect(of('agent.running')).toEqual([
    'ok: no agent is running for this file; `portal up -f other.yaml` starts one',
  ]);
});

it('finds no problem, and asks a running agent to prove its leases', async () => {
  const { port } = await httpService((_request, response) => response.end('here'));
  await write(`version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: ${port} }\n`);
  const before = await examine();
  expect(before.code).toBe(0);
  expect(before.of('service.target')).toEqual([
    `ok: localhost:${port} speaks HTTP at 127.0.0.1: served as http`,
  ]);
  expect(before.of('agent.running')[0]).toContain('no agent is running');
  expect(before.lines.at(-1)).toMatchObject({ event: 'checked', problems: 0 });

  person.downAfterTest();
  expect((await person.run(['up', '--wait'])).code).toBe(0);
  const startedAt = new Date().toISOString();
  const { code, of } = await examine();
  expect(code).toBe(0);
  const [lease] = of('agent.lease');
  expect(lease).toMatch(
    /ok: web on embedded:[1-9]\d*: https:\/\/web\.localhost:\d+ is ready; the agent's own visit got through (just now|\d+ \w+ ago)$/,
  );
  const [status] = jsonLines((await person.run(['status', '--json'])).stdout);
  const [{ provenAt } = { provenAt: '' }] = status!['leases'] as { provenAt: string }[];
  expect(provenAt >= startedAt).toBe(true);
});

it('checks the agent of `portal expose` without a file, and no relays or targets', async () => {
  const missing = await person.run(['doctor']);
  expect(missing.code).toBe(2);
  expect(missing.stdout).toMatch(/^identity\n[^]+\nfolders\n[^]+\nlocal CA\n/);
  expect(missing.stderr).toContain('config_not_found');
  const expose = person.start(['expose', String(await tcpService(() => undefined)), '--json']);
  await expose.event('ready');
  const { code, of } = await examine();
  expect(code).toBe(0);
  expect(of('agent.lease')).toEqual([expect.stringMatching(/^ok: .+ ready/)]);
  expect(of('configuration.unchecked')).toEqual([expect.stringMatching(/^skipped: not checked: write/)]);
  expect(of('localCa.trusted').length).toBeGreaterThan(0);
});

it('shows the mode that a target decides, and which settings have no effect', async () => {
  const received: string[] = [];
  const lines = await tcpService((socket) => {
    socket.on('data', (chunk: Buffer) => {
      received.push(String(chunk));
      socket.write('-ERR\n');
    });
  });
  await write(
    `version: 1\nrelays: { embedded: { port: 0 } }\nservices: { a: ${lines}, b: { target: ${lines}, inspect: true } }\n`,
  );
  const { of } = await examine();
  expect(of('service.target')).toEqual([
    `ok: localhost:${lines} accepts connections at 127.0.0.1, but does not speak HTTP: served as stream`,
  ]);
  expect(of('service.speaks')).toEqual([
    `problem: localhost:${lines} does not speak HTTP, so \`inspect\` has no effect`,
  ]);
  // One probe for each, and nothing more.
  expect(received).toHaveLength(2);
});

it('reports an invalid configuration as failed checks, continues, and exits with 2', async () => {
  await write('version: 1\nservices: { web: 70000 }\nrelays: 1\n');
  const { code, lines, of } = await examine();
  expect(code).toBe(2);
  expect(lines[0]).toMatchObject({ event: 'rejected' });
  expect(of('configuration.valid')).toEqual([
    expect.stringMatching(/^problem: portal\.yaml:\d+:\d+: /),
    expect.stringMatching(/^problem: portal\.yaml:\d+:\d+: /),
  ]);
  expect(of('configuration.unchecked')).toEqual([
    'skipped: not checked: fix the mistakes in the configuration first',
  ]);
  expect(of('identity.file')).toHaveLength(1);
  expect(of('agent.running')[0]).toContain('no agent is running');
  expect(lines.at(-1)).toMatchObject({ event: 'checked', problems: 2, skipped: 1 });
  expect((await person.run(['doctor', '-f', 'none.yaml'])).code).toBe(2);
});

it('checks relays and the other services while a variable of one service is not set', async () => {
  const at = await relay();
  const { port } = await httpService((_request, response) => response.end('here'));
  await write(
    `version: 1\nrelays: { urls: [{ url: '${at.url}', ca: '${at.ca.certificateFile}' }] }\n` +
      `services:\n  web: ${port}\n  app: { mode: http, target: ${port}, access: { pin: '\${NO_SUCH_PIN}' } }\n`,
  );
  const { code, of, lines } = await examineIn({ PORTAL_ALLOW: '1' });
  expect(code).toBe(2);
  expect(of('configuration.valid')).toEqual([
    expect.stringMatching(/^problem: portal\.yaml:5:\d+: .*NO_SUCH_PIN/),
  ]);
  expect(of('service.unchecked')).toEqual([
    'skipped: not checked: fix the mistakes in the configuration first',
  ]);
  expect(of('relay.tls')[0]).toMatch(/^ok: /);
  expect(of('relay.clock')[0]).toMatch(/^ok: /);
  expect(lines.filter(({ about }) => about === 'service web')).not.toEqual([]);
  expect(lines.filter(({ about }) => about === 'service app')).toHaveLength(1);
});

it('only warns of a variable that the running agent has', async () => {
  const { port } = await httpService((_request, response) => response.end('here'));
  await write(
    `version: 1\nrelays: { embedded: { port: 0 } }\n` +
      `services:\n  web: ${port}\n  app: { mode: http, target: ${port}, access: { pin: '\${NO_SUCH_PIN}' } }\n`,
  );
  person.downAfterTest();
  expect((await person.run(['up', '--wait'], { env: { NO_SUCH_PIN: '12345678' } })).code).toBe(0);
  const { code, of, hints, lines } = await examine();
  expect(of('configuration.valid')).toEqual([
    'warning: the variable NO_SUCH_PIN is not set in this shell; the running agent has it',
  ]);
  expect(hints('configuration.valid')).toContain('.env');
  expect(of('service.unchecked')).toEqual(['skipped: not checked: set NO_SUCH_PIN first']);
  expect(lines.filter(({ event }) => event === 'rejected')).toEqual([]);
  expect(lines.at(-1)).toMatchObject({ event: 'checked', problems: 0, skipped: 1 });
  expect(code).toBe(0);
});

it('counts a relay that is down as one problem', async () => {
  const at = await relay();
  const { port } = await httpService((_request, response) => response.end('here'));
  await write(
    `version: 1\nrelays: { urls: [{ url: '${at.url}', ca: '${at.ca.certificateFile}' }] }\nservices: { web: ${port} }\n`,
  );
  const before = await examineIn({ PORTAL_ALLOW: '1' });
  expect([before.code, before.of('agent.lease')]).toEqual([
    0,
    ['skipped: not checked: run `portal up` first'],
  ]);
  person.downAfterTest();
  expect((await person.run(['up', '--wait'], { env: { PORTAL_ALLOW: '1' } })).code).toBe(0);
  await at.close();
  const until = { timeout: 20_000 };
  await expect
    .poll(async () => (await examineIn({ PORTAL_ALLOW: '1' })).of('agent.lease'), until)
    .toEqual([expect.stringMatching(/^problem: web on .* is retrying.*: see relay https:.* above$/)]);
  const { code, lines } = await examineIn({ PORTAL_ALLOW: '1' });
  expect(lines.at(-1)).toMatchObject({ event: 'checked', problems: 1 });
  expect(code).toBe(1);
});

it('names what is down: service, relay, identity, folders', async () => {
  const [port, relayPort, ownPort] = await freePorts(3);
  await mkdir(person.home, { recursive: true });
  await writeFile(join(person.home, 'identity.json'), '{}', { mode: 0o644 });
  await chmod(join(person.home, 'identity.json'), 0o644);
  const taken = await tcpService(() => undefined);
  await write(
    `version: 1\nrelays:\n  urls: ['https://localhost:${relayPort}', 'https://127.0.0.1:${ownPort}']\n` +
      `  embedded: { port: ${taken} }\nservices: { web: ${port} }\n`,
  );
  const { code, of, hints, lines } = await examine();
  expect(code).toBe(1);
  expect(of('identity.file')[0]).toMatch(/^problem: .*open to other users/);
  expect(hints('identity.file')).toContain('Run: chmod 600 ');
  expect(of('service.target')[0]).toMatch(/^problem: /);
  expect(of('relay.tcp')[0]).toMatch(/^problem: .*ECONNREFUSED/);
  expect(of('relay.name')[0]).toBe('problem: 127.0.0.1 is an IP address');
  expect(of('relay.port')[0]).toContain(`problem: port ${taken} is in use`);
  expect(hints('relay.port')).toContain('embedded: { port: 8444 }');
  expect(lines.at(-1)).toMatchObject({ event: 'checked', problems: 5 });
});

it('checks a relay’s certificate and capabilities', async () => {
  const at = await relay();
  const { port } = await httpService((_request, response) => response.end('here'));
  const services = `services:\n  web: ${port}\n  game: { mode: tcp, target: ${port} }\n`;
  await write(`version: 1\nrelays: { urls: ['${at.url}'] }\n${services}`);
  const untrusted = await examine();
  expect(untrusted.code).toBe(1);
  expect(untrusted.of('relay.tls')[0]).toMatch(/^problem: .*not trusted/);

  await write(
    `version: 1\nrelays: { urls: [{ url: '${at.url}', ca: '${at.ca.certificateFile}' }] }\n${services}`,
  );
  const { code, of } = await examine();
  expect(code).toBe(1);
  expect(of('relay.tls')[0]).toMatch(/^ok: /);
  expect(of('relay.clock')[0]).toMatch(/^ok: /);
  expect(of('relay.descriptor')[0]).toContain(at.address);
  expect(of('relay.capabilities')).toEqual([
    'problem: the relay does not offer mode tcp, which service game needs',
  ]);
});

it('connects to a relay through the proxy that an agent uses', async () => {
  const [at, proxy] = [await relay({ domain: 'relay.test' }), await connectProxy()];
  const { port } = await httpService((_request, response) => response.end('here'));
  const trusted = `[{ url: '${at.url}', ca: '${at.ca.certificateFile}' }]`;
  await write(`version: 1\nrelays: { urls: ${trusted} }\nservices: { web: ${port} }\n`);
  const nowhere = await dnsServer(() => 'NXDOMAIN');
  const { of } = await examineIn({ HTTPS_PROXY: proxy.url }, '--dns', nowhere.address);
  expect(of('relay.dns')).toEqual(['ok: relay.test has no address in DNS here; the proxy looks it up']);
  expect(of('relay.tcp')).toEqual([
    `ok: port ${at.port} is open, through the proxy ${new URL(proxy.url).host}`,
  ]);
  expect(of('relay.tls')[0]).toMatch(/^ok: /);
  expect(of('relay.descriptor')[0]).toMatch(/^ok: /);
  expect(new Set(proxy.requested)).toEqual(new Set([`relay.test:${at.port}`]));

  const refusing = await connectProxy(() => false);
  const refused = await examineIn({ HTTPS_PROXY: refusing.url }, '--dns', nowhere.address);
  expect(refused.code).toBe(1);
  expect(refused.of('relay.tcp')[0]).toMatch(/^problem: the proxy \S+ rejected relay\.test:\d+ \(403\)/);
});

it('shows how the datagrams of a service travel', async () => {
  const at = await relay({ ports: { udp: 'any' } });
  const { port } = await httpService((_request, response) => response.end('here'));
  const config = (carrier: string): string =>
    `version: 1\nrelays: { urls: [{ url: '${at.url}', ca: '${at.ca.certificateFile}' }] }\n` +
    `services: { game: { mode: udp, target: ${port}${carrier} } }\n`;
  await write(config(''));
  expect((await examine()).of('service.datagrams')[0]).toMatch(
    /^ok: only a running agent shows whether UDP gets through/,
  );

  person.downAfterTest();
  expect((await person.run(['up', '--wait'])).code).toBe(0);
  expect((await examine()).of('service.datagrams')).toEqual(['ok: UDP gets through to localhost']);
  expect((await person.run(['down'])).code).toBe(0);

  await write(config(', carrier: ws'));
  expect((await person.run(['up', '--wait'])).code).toBe(0);
  expect((await examine()).of('service.datagrams')[0]).toMatch(
    /^ok: datagrams travel to localhost in a WebSocket/,
  );
});

it('warns if UDP is blocked', async () => {
  // The relay announces a UDP port that does not respond.
  const silent = createSocket('udp4');
  await new Promise<void>((resolve) => silent.bind(0, '127.0.0.1', resolve));
  onTestFinished(() => void silent.close());
  const at = await relay({ ports: { udp: 'any' }, datagramPort: silent.address().port });
  const { port } = await httpService((_request, response) => response.end('here'));
  await write(
    `version: 1\nrelays: { urls: [{ url: '${at.url}', ca: '${at.ca.certificateFile}' }] }\n` +
      `services: { game: { mode: udp, target: ${port} } }\n`,
  );
  person.downAfterTest();
  expect((await person.run(['up', '--wait'])).code).toBe(0);
  const { code, of, hints } = await examine();
  expect(code).toBe(0);
  expect(of('service.datagrams')[0]).toMatch(/^warning: UDP does not get through to localhost/);
  expect(hints('service.datagrams')).toContain('Allow outgoing UDP');
});

it('reports a wrong clock, a forged descriptor, a problem of the relay, and a server that is not a relay', async () => {
  const ca = await openLocalCa(join(person.folder, 'relay-ca'));
  const identity = generateIdentity();
  let answer = '';
  let skewMs = 0;
  let health: [status: number, text: string] = [200, 'ok'];
  const server = createServer(await ca.issue(['localhost']), ({ url: path }, response) => {
    response.setHeader('date', new Date(Date.now() + skewMs).toUTCString());
    if (path === '/healthz') response.writeHead(health[0]).end(`${health[1]}\n`);
    else response.end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `https://localhost:${(server.address() as AddressInfo).port}`;
  const { port } = await httpService((_request, response) => response.end('here'));
  await write(
    `version: 1\nrelays: { urls: [{ url: '${url}', ca: '${ca.certificateFile}' }] }\nservices: { web: ${port} }\n`,
  );
  const facts = { url, capabilities: ['stream'], carriers: ['raw'], limits: {} };
  const descriptor = describeRelay(identity, facts, new Date());

  skewMs = -3_600_000;
  answer = JSON.stringify({ ...descriptor, protocols: [9] });
  const forged = await examine();
  expect(forged.of('relay.clock')[0]).toMatch(/^problem: .* s ahead of the relay's/);
  expect(forged.of('relay.descriptor')[0]).toContain('it was not signed by 0x');

  skewMs = 0;
  answer = JSON.stringify(descriptor);
  const well = await examine();
  expect([well.code, well.of('relay.health')]).toEqual([0, []]);
  health = [503, 'the main process does not respond'];
  const ill = await examine();
  expect([ill.code, ill.of('relay.health')]).toEqual([
    1,
    ['problem: the relay reports a problem: the main process does not respond'],
  ]);
  health = [200, 'the database does not respond'];
  expect((await examine()).of('relay.health')).toEqual([
    'warning: the relay serves visitors, but reports a problem: the database does not respond',
  ]);
  answer = 'hello';
  expect((await examine()).of('relay.descriptor')[0]).toContain('is not a relay');

  await write(`version: 1\nrelays: { urls: ['${url}'] }\nservices: { web: ${port} }\n`);
  const foreign = await examine();
  expect(foreign.of('relay.tls')[0]).toMatch(
    /^problem: .* is not trusted: .*issued by .*, SHA-256 [0-9A-F:]+…/,
  );
  expect(foreign.hints('relay.tls')).toBe('No relay responds at this URL. Check its name and port.');
  answer = JSON.stringify(descriptor);
  expect((await examine()).hints('relay.tls')).toContain(`{ url: ${url}, ca: ./ca.pem }`);

  const other = await openLocalCa(join(person.folder, 'previous-ca'));
  await write(
    `version: 1\nrelays: { urls: [{ url: '${url}', ca: '${other.certificateFile}' }] }\nservices: { web: ${port} }\n`,
  );
  const stale = await examine();
  expect(stale.of('relay.tls')[0]).toContain('the CA of `ca:` did not issue the certificate');
  expect(stale.hints('relay.tls')).toContain('replace the file of `ca:`');
});

const a = (data: string): Said => [{ type: 'A', name: 'shop.acme.test', ttl: 1, data }];
const proof = (...addresses: string[]): Said =>
  addresses.map((address) => ({
    type: 'TXT',
    name: '_portal.shop.acme.test',
    ttl: 1,
    data: `portal-address=${address}`,
  }));

it('prints the DNS records that a custom domain lacks', async () => {
  const at = await relay();
  const { port } = await httpService((_request, response) => response.end('here'));
  const records = new Map<string, Said>();
  const dns = await dnsServer((name: string, type: RecordType) => records.get(`${type} ${name}`) ?? []);
  await write(
    `version: 1\nrelays: { urls: [{ url: '${at.url}', ca: '${at.ca.certificateFile}' }] }\n` +
      `services: { shop: { target: ${port}, hostname: shop.acme.test } }\n`,
  );
  const { address } = await loadIdentity(join(person.home, 'identity.json'), { create: true });
  const missing = await examine('--dns', dns.address);
  expect(missing.code).toBe(1);
  expect(missing.hints('service.dns')).toBe('Create the record: shop.acme.test. CNAME localhost.');
  expect(missing.hints('service.proof')).toBe(
    `Create the record: _portal.shop.acme.test. TXT "portal-address=${address}"`,
  );

  records.set('A shop.acme.test', a('192.0.2.1'));
  records.set('TXT _portal.shop.acme.test', proof(generateIdentity().address));
  const wrong = await examine('--dns', dns.address);
  expect(wrong.of('service.dns')).toEqual([
    'problem: shop.acme.test resolves to 192.0.2.1, which is not the relay',
  ]);
  expect(wrong.of('service.proof')).toEqual(['problem: _portal.shop.acme.test names another identity']);

  records.set('A shop.acme.test', a('127.0.0.1'));
  records.set('TXT _portal.shop.acme.test', proof(generateIdentity().address, address.toLowerCase()));
  const right = await examine('--dns', dns.address);
  expect(right.code).toBe(0);
  expect(right.of('service.proof')).toEqual(['ok: _portal.shop.acme.test names your identity']);
});

it('checks the sources of certificates', async () => {
  const at = await relay();
  const ca = await rejectingCa(() => ({ status: 500, type: 'serverInternal', detail: 'not asked' }));
  const { port } = await httpService((_request, response) => response.end('here'));
  const issuer = await openLocalCa(join(person.folder, 'issuer'));
  const { cert, key } = await issuer.issue(['other.localhost']);
  await writeFile(join(person.folder, 'cert.pem'), cert);
  await writeFile(join(person.folder, 'key.pem'), key);
  let allowed = 'another-ca.test';
  const dns = await dnsServer((name: string, type: RecordType) =>
    type === 'CAA' && name === 'acme.test'
      ? [{ type: 'CAA', name, ttl: 1, data: { flags: 0, tag: 'issue', value: allowed } }]
      : [],
  );
  const file = (directory: string): string =>
    `version: 1\nacme: { directory: '${directory}', ca: '${ca.spec.caFile}' }\n` +
    `relays: { urls: [{ url: '${at.url}', ca: '${at.ca.certificateFile}' }] }\nservices:\n` +
    `  shop: { target: ${port}, hostname: shop.acme.test, tls: acme }\n` +
    `  own: { target: ${port}, tls: { cert: ./cert.pem, key: ./key.pem } }\n`;
  await write(file(ca.spec.directory));
  const { of, hints } = await examine('--dns', dns.address);
  expect(of('service.acme')[0]).toMatch(/^ok: the CA at localhost:\d+ responds$/);
  expect(of('service.caa')).toEqual([
    'problem: the CAA records of acme.test do not allow this CA, only another-ca.test',
  ]);
  expect(hints('service.caa')).toBe('Add the record: acme.test. CAA 0 issue "ca.test"');
  expect(of('service.certificate')[0]).toContain('warning: no certificate for shop.acme.test yet');
  expect(of('service.certificate')[1]).toMatch(/^problem: .*not for own\.localhost/);

  allowed = 'ca.test';
  const [gone] = await freePorts(1);
  await write(file(`https://localhost:${gone}/dir`));
  const down = await examine('--dns', dns.address);
  expect(down.of('service.acme')[0]).toMatch(
    /^problem: the CA at localhost:\d+ is unreachable: it refused the connection \(ECONNREFUSED\)/,
  );
});

it('counts an unreachable CA once, however many services use it', async () => {
  const at = await relay();
  const { port } = await httpService((_request, response) => response.end('here'));
  const dns = await dnsServer(() => []);
  const [gone] = await freePorts(1);
  await write(
    `version: 1\nacme: { directory: 'https://localhost:${gone}/dir' }\n` +
      `relays: { urls: [{ url: '${at.url}', ca: '${at.ca.certificateFile}' }] }\nservices:\n` +
      ['one', 'two', 'three']
        .map((name) => `  ${name}: { target: ${port}, hostname: ${name}.acme.test, tls: acme }\n`)
        .join(''),
  );
  const { of, lines } = await examine('--dns', dns.address);
  const [first, ...others] = of('service.acme');
  expect(first).toMatch(/^problem: the CA at localhost:\d+ is unreachable: [^\n]*ECONNREFUSED/);
  expect(others).toEqual(Array(2).fill(`${first}: see service one above`));
  expect(lines.filter(({ check }) => check === 'service.acme').map((line) => line['because'])).toEqual([
    undefined,
    'service one',
    'service one',
  ]);
});

it('prints text for people, in colour only if wanted', async () => {
  const [port] = await freePorts(1);
  await write(`version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: ${port} }\n`);
  const { code, stdout } = await person.run(['doctor']);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^configuration\n {2}✓ .*portal\.yaml: 1 service\n/);
  expect(stdout).toMatch(/^service web\n {2}✗ .*\n {4}Start the service/m);
  expect(stdout).toMatch(/^1 problem, \d+ warnings?$/m);
  expect(stdout).not.toContain('\u001b');
  const coloured = await person.run(['doctor'], { env: { FORCE_COLOR: '1' } });
  expect(coloured.stdout).toContain('\u001b[31m✗');
});

it('names each target that rejects its public name, and the fix', async () => {
  const requested: string[] = [];
  const picky = (says: string) =>
    httpService((request, response) => {
      requested.push(request.headers.host!);
      const isOwn = request.headers.host!.startsWith('localhost');
      response.writeHead(isOwn ? 200 : 403).end(isOwn ? '' : says);
    });
  const [known, unknown, open] = [await picky('Invalid Host header'), await picky('no'), await picky('')];
  await write(
    'version: 1\nrelays: { embedded: { port: 0 } }\nservices:\n' +
      `  known: { mode: http, target: ${known.port} }\n  unknown: { mode: http, target: ${unknown.port} }\n` +
      `  open: { mode: http, target: ${open.port}, host: target }\n`,
  );
  const { of, hints } = await examine();
  expect(of('service.name')).toEqual([
    `warning: localhost:${known.port}: webpack-dev-server rejects the name known.localhost`,
    `warning: localhost:${unknown.port}: the target responds with 403 to the name unknown.localhost, but not to its own name`,
  ]);
  expect(hints('service.name')).toContain('Add "known.localhost" to devServer.allowedHosts');
  expect(requested.filter((host) => host === 'known.localhost')).toHaveLength(1);
});

/** Accepts any name, and responds with the status `says` to requests for resources of a page. */
const next = (says: number) =>
  httpService(({ url, headers }, response) => {
    const isBlocked = url === '/_next/' && headers.origin === `https://${headers.host}`;
    response.writeHead(isBlocked ? says : 200, { 'X-Powered-By': 'Next.js' });
    response.end(isBlocked && says === 403 ? 'Unauthorized' : '');
  });

it('reports that Next.js rejects the scripts of its pages', async () => {
  const [dev, built] = [await next(403), await next(404)];
  await write(
    'version: 1\nrelays: { embedded: { port: 0 } }\nservices:\n' +
      `  dev: { mode: http, target: ${dev.port} }\n  built: { mode: http, target: ${built.port} }\n`,
  );
  const { of, hints } = await examine();
  expect(of('service.name')).toEqual([
    `warning: localhost:${dev.port}: Next.js rejects the name dev.localhost`,
  ]);
  expect(hints('service.name')).toContain('Add "dev.localhost" to allowedDevOrigins');
});

it('checks once whether the provider of access.oidc responds', async () => {
  const { port } = await httpService((_request, response) => response.end('hello'));
  const provider = await oidcProvider();
  const service = (issuer: string): object => ({
    target: port,
    mode: 'http',
    access: { oidc: { issuer, clientId: 'a', allow: { domains: ['example.com'] } } },
  });
  await write(
    JSON.stringify({ version: 1, services: { a: service(provider.issuer), b: service(provider.issuer) } }),
  );
  const down = await examine();
  const [first, second] = down.of('service.oidc');
  expect(first).toMatch(/^problem: visitors cannot sign in: localhost:\d+ responds with 503$/);
  expect(second).toMatch(/: see service a above$/);
  expect(down.hints('service.oidc')).toContain('/.well-known/openid-configuration.');
  provider.register('https://a.localhost/__portal/oidc/callback');
  expect((await examine()).of('service.oidc')[0]).toMatch(/^ok: visitors can sign in: /);
});
