import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../support/ports.js';
import { agent, desired, httpService, readAll, relay, service, tcpService } from '../support/world.js';
import { Person, PROCESSES, type Running } from './cli-support.js';

/** `portal connect` as people run it: another user of another machine, with an identity of its own. */

const echo = () => tcpService((socket) => void socket.pipe(socket));

async function colleague() {
  const person = await Person.create(PROCESSES);
  const { stdout } = await person.run(['identity', 'new', '--json']);
  return { person, address: (JSON.parse(stdout) as { address: string }).address };
}

/** A service of someone else that admits `identities`. */
async function published(identities: readonly string[], target: number | string) {
  const at = await relay();
  const owner = await agent();
  await owner.runner.apply(
    desired([at.spec], service('db', target, { access: { identities }, alpn: 'auto' })),
  );
  await owner.event('lease', ({ phase }) => phase === 'ready');
  return { at, owner: owner.identity.address, hostname: `db.localhost:${at.port}` };
}

async function portOf(running: Running): Promise<number> {
  return (await running.event('connected'))['port'] as number;
}

async function roundTrip(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.end(text);
  return (await readAll(socket)).toString();
}

describe('portal connect HOSTNAME', () => {
  it('forwards each local connection, and remembers the agent that the user has named', async () => {
    const { person, address } = await colleague();
    const { owner, hostname } = await published([address], await echo());
    const running = person.start(['connect', hostname, '--identity', owner, '--json']);
    const connected = await running.event('connected');
    expect(connected).toMatchObject({
      service: hostname,
      host: '127.0.0.1',
      agent: owner,
      identity: address,
    });
    const port = connected['port'] as number;
    expect(await Promise.all(['a', 'b'.repeat(500_000)].map((text) => roundTrip(port, text)))).toEqual([
      'a',
      'b'.repeat(500_000),
    ]);
    running.kill('SIGINT');
    expect(await running.finished).toMatchObject({ code: 0, stderr: '' });
    expect(await readFile(join(person.home, 'known-agents'), 'utf8')).toBe(`db.localhost ${owner}\n`);
    const again = person.start(['connect', hostname, '--json']);
    expect(await roundTrip(await portOf(again), 'hello')).toBe('hello');
  });

  it('prints one line to type, and its errors say what to do', async () => {
    const { person, address } = await colleague();
    const { owner, hostname } = await published([], await echo());
    const refused = await person.run(['connect', hostname, '--identity', owner]);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain(`your identity ${address} may not connect [connect_denied]`);
    expect(refused.stderr).toContain(`access: { identities: ["${address}"] }`);
    const unknown = await person.run(['connect', hostname]);
    expect(unknown.stderr).toContain(`belongs to the identity ${owner}, which this machine does not know`);
    expect(unknown.stderr).toContain(`portal connect ${hostname} --identity ${owner}`);
    const wrong = await person.run(['connect', hostname, '--identity', address]);
    expect(wrong.stderr).toContain(`belongs to the identity ${owner}, not to ${address} (--identity)`);
    const offline = await person.run(['connect', hostname.replace('db', 'web'), '--identity', owner]);
    expect(offline.stderr).toContain('[service_offline]');
    const nobody = await person.run(['connect', `db.localhost:${await freePort()}`, '--identity', owner]);
    expect(nobody.stderr).toContain('[relay_unreachable]');
    const mistyped = await person.run(['connect', hostname, '--identity', '0x1']);
    expect(mistyped).toMatchObject({ code: 2 });
  });

  it('serves --stdio, as ssh uses it, in both directions until each side ends', async () => {
    const { person, address } = await colleague();
    const target = await tcpService((socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.once('end', () => socket.end(`got ${Buffer.concat(chunks).length}`));
    });
    const { owner, hostname } = await published([address], target);
    const args = ['connect', hostname, '--identity', owner, '--stdio'];
    const done = await person.run(args, { stdin: 'x'.repeat(300_000) });
    expect(done).toEqual({ code: 0, signal: null, stdout: 'got 300000', stderr: '' });
  });
});

describe('portal connect SERVICE', () => {
  it('reads the relay, the owner and the port from portal.yaml, for several services', async () => {
    const { person, address } = await colleague();
    const at = await relay();
    const owner = await agent();
    const site = await httpService((_request, response) => response.end('a private site'));
    const usual = await freePort();
    const access = { identities: [address] };
    const services = [
      service('db', await echo(), { access }),
      service('web', site.port, { access, mode: 'http' }),
    ];
    await owner.runner.apply(desired([at.spec], ...services));
    for (const { name } of services)
      await owner.event('lease', ({ service: of, phase }) => of === name && phase === 'ready');
    const by = owner.identity.address;
    const file = `version: 1
relays: { urls: [{ url: ${at.url}, ca: ${at.ca.certificateFile} }] }
services:
  db: { target: ${usual}, identity: "${by}", access: { identities: ["${address}"] } }
  web: { mode: http, target: 3000, identity: "${by}", access: { identities: ["${address}"] } }
`;
    await writeFile(join(person.folder, 'portal.yaml'), file);
    const env = { PORTAL_ALLOW: '1' };
    const running = person.start(['connect', 'db', 'web'], { env });
    await running.line(/press Ctrl-C/);
    await expect
      .poll(() => running.stdout)
      .toMatch(
        new RegExp(
          `^db: 127\\.0\\.0\\.1:${usual}\nweb: http://web\\.localhost:(\\d+) in a browser, 127\\.0\\.0\\.1:\\1 for programs\n$`,
        ),
      );
    expect(await roundTrip(usual, 'hello')).toBe('hello');
    const [, port] = /(\d+) for programs/.exec(running.stdout)!;
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('a private site');
    const inUse = await person.run(['connect', 'db', '--port', String(usual)], { env });
    expect(inUse.stderr).toContain(`port ${usual} is in use [address_in_use]`);
    const absent = await person.run(['connect', 'dbb'], { env });
    expect(absent.stderr).toContain('Did you mean `db`?');
  });

  it('connects to no relay that the user has not allowed, and to no public service', async () => {
    const { person } = await colleague();
    const file = `version: 1
relays: { urls: [https://relay.example.com] }
services: { db: 5432, game: { mode: tcp, target: 25565 } }
`;
    await writeFile(join(person.folder, 'portal.yaml'), file);
    const notAllowed = await person.run(['connect', 'db'], { env: { PORTAL_ALLOW: '' } });
    expect(notAllowed).toMatchObject({ code: 2, stdout: '' });
    expect(notAllowed.stderr).toContain('[config_not_allowed]');
    const game = await person.run(['connect', 'game'], { env: { PORTAL_ALLOW: '1' } });
    expect(game.stderr).toContain('game runs mode tcp, which is public [connect_unsupported]');
  });

  it('ends local connections when a save removes the identity, and says why later ones fail', async () => {
    const { person, address } = await colleague();
    const at = await relay();
    const owner = await agent();
    const spec = service('db', await echo(), { access: { identities: [address] } });
    await owner.runner.apply(desired([at.spec], spec));
    await owner.event('lease', ({ phase }) => phase === 'ready');
    const hostname = `db.localhost:${at.port}`;
    const running = person.start(['connect', hostname, '--identity', owner.identity.address, '--json']);
    const port = await portOf(running);
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined).write('hello');
    socket.resume();
    await once(socket, 'data');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await owner.runner.apply(desired([at.spec], { ...spec, access: { identities: [] } }));
    await closed;
    const other = connect(port, '127.0.0.1');
    other.on('error', () => undefined).resume();
    await new Promise((resolve) => other.once('close', resolve));
    expect(await running.event('failed')).toMatchObject({ service: hostname, code: 'connect_denied' });
  });
});
