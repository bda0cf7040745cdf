import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { eventually } from '../support/eventually.js';
import { EMPTY_LIST, readDenyList } from '../../src/relay/protection/access-lists.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { agent, desired, get, handedOver, httpService, relay, service, visit } from '../support/world.js';
import { Person } from './cli-support.js';
import { line, Peer, tcp } from './relay-peer.js';

/** Identities and addresses that an operator denies. */

describe('a denied identity', () => {
  it('loses its leases and visitors, gets the reason, and reconnects once it is allowed again', async () => {
    const at = await relay();
    const held = await handedOver();
    const { port } = await httpService((_request, response) => response.end('not me'));
    const [one, other] = [await agent(), await agent()];
    await one.runner.apply(desired([at.spec], service('bad', held.port)));
    await other.runner.apply(desired([at.spec], service('good', port)));
    const visitor = line(await visit(at, 'bad.localhost', one.ca));
    (await held.next()).write('phishing');
    await visitor.until('phishing');

    const mark = one.events.length;
    at.deny(readDenyList(one.identity.address));
    expect((await visitor.closed).how).toBe('ECONNRESET');
    const lost = await one.event('lease', ({ error }) => error?.code === 'unauthorized', mark);
    expect(lost.error?.message).toContain('operator of this relay denies this identity');
    await expect(visit(at, 'bad.localhost', one.ca)).rejects.toThrow(/alert|closed|ECONNRESET/);
    expect((await get(at, 'good.localhost', other.ca)).text).toContain('not me');
    const again = await Peer.connect(at, { identity: one.identity });
    again.say({ type: 'prove', signature: one.identity.sign(await again.challenge()) });
    expect(await again.next('error')).toMatchObject({
      code: 'unauthorized',
      retryAfterMs: expect.any(Number),
    });
    expect(at.stats().denied.identity).toBeGreaterThanOrEqual(1);

    // The agent itself may reconnect before the peer does.
    await one.runner.stop({ reason: 'makes room', drainMs: 0 });
    at.deny(EMPTY_LIST);
    await (await Peer.open(at, { identity: one.identity })).lease('bad');
  });
});

const portOf = (address = ''): number => Number(address.split(':')[1]);

describe('a denied address', () => {
  it('loses its visitors of either kind, flows, data connections, and the channel, which gets the reason', async () => {
    const at = await relay({ ports: { tcp: 'any', udp: 'any' } });
    const [held, lines] = [await handedOver(), await handedOver()];
    const echo = await udpService((payload) => payload);
    const one = await agent();
    await one.runner.apply(
      desired(
        [at.spec],
        service('web', held.port),
        service('lines', lines.port, { mode: 'tcp', carrier: 'tls' }),
        service('packets', echo.port, { mode: 'udp' }),
      ),
    );
    const { services } = await one.event('ready');
    const visitor = line(await visit(at, 'web.localhost', one.ca));
    (await held.next()).write('something');
    await visitor.until('something');
    const other = await tcp({ port: portOf(services['lines']!.tcp[0]) });
    other.socket.write('hello');
    (await lines.next()).write('something');
    await other.until('something');
    const packets = await udpVisitor(portOf(services['packets']!.udp[0]));
    expect(await packets.ask('hello')).toBe('hello');
    const silent = await tcp(at);
    const mark = one.events.length;
    at.deny(readDenyList('127.0.0.0/8'));
    for (const each of [visitor, other, silent]) expect((await each.closed).how).toBe('ECONNRESET');
    expect(at.counts().flows).toBe(0);
    const lost = await one.event('lease', ({ error }) => error?.code === 'unauthorized', mark);
    expect(lost.error?.message).toContain('denies the address');
    await expect.poll(() => at.counts()).toMatchObject({ sessions: 0, visitors: 0, tickets: 0, unrouted: 0 });
  });

  it('does not affect other addresses', async () => {
    const at = await relay();
    const held = await handedOver();
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('web', held.port)));
    const visitor = line(await visit(at, 'web.localhost', one.ca));
    const source = await held.next();
    at.deny(readDenyList('192.0.2.0/24'));
    source.end('still here');
    await visitor.until('still here');
    expect(at.counts().sessions).toBe(1);
  });
});

describe('portal relay --deny', () => {
  it('is read at the start and on changes; an invalid list changes nothing', async () => {
    const operator = await Person.create();
    const file = join(operator.folder, 'denied');
    await writeFile(file, '# nobody\n');
    const running = operator.start(['relay', '--json', '--listen', '127.0.0.1:0', '--deny', 'denied']);
    const { url } = (await running.event('listening')) as unknown as { url: string };
    const at = { port: Number(new URL(url).port) };
    const endOf = async (): Promise<string> => {
      try {
        const one = await tcp(at);
        one.socket.end('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
        return (await one.closed).how;
      } catch {
        return 'ECONNRESET';
      }
    };
    expect(await endOf()).toBe('end');
    await writeFile(file, '127.0.0.0/8\n');
    await running.line(/reloaded the list/);
    expect(await endOf()).toBe('ECONNRESET');
    await writeFile(file, '127.0.0.0/8 and more\n');
    const invalid = JSON.parse(await running.line(/line 1.*the list is invalid/)) as unknown;
    expect(invalid).toEqual({
      level: 'error',
      time: expect.any(String) as string,
      file,
      reason: expect.stringContaining('line 1: "127.0.0.0/8 and more"') as string,
      hint: expect.stringContaining('Each line is') as string,
      msg: 'the list is invalid; the relay keeps the previous one',
    });
    expect(await endOf()).toBe('ECONNRESET');
    await writeFile(file, '');
    await running.line(/the file is empty.*the list is invalid/);
    expect(await endOf()).toBe('ECONNRESET');
    await writeFile(file, '# nobody\n');
    await eventually(async () => expect(await endOf()).toBe('end'));
    running.kill('SIGTERM');
    expect((await running.finished).code).toBe(0);
  });

  it('an unreadable or invalid list is a usage error', async () => {
    const operator = await Person.create();
    await writeFile(join(operator.folder, 'denied'), 'nonsense\n');
    for (const [file, message] of [
      ['nowhere', 'nowhere does not exist'],
      ['denied', 'line 1'],
    ] as const) {
      const { code, stdout } = await operator.run(['relay', '--json', '--deny', file]);
      expect({ code, stdout }).toMatchObject({ code: 2, stdout: expect.stringContaining(message) });
    }
  });
});

it('a deny or allow file that is truncated and rewritten disconnects no agent', async () => {
  const operator = await Person.create();
  const file = join(operator.folder, 'allowed');
  const one = await agent();
  const list = `${one.identity.address}\n`;
  await writeFile(file, list);
  const running = operator.start(['relay', '--json', '--listen', '127.0.0.1:0', '--allow', 'allowed']);
  const { url, ca } = (await running.event('listening')) as unknown as { url: string; ca: string };
  const spec = { kind: 'url', url, caFile: ca } as const;
  await one.runner.apply(desired([spec], service('web', 1)));
  await one.event('ready');
  const mark = one.events.length;
  await truncate(file);
  running.kill('SIGHUP');
  await running.line(/"signal":"SIGHUP"/);
  // The relay reads the file at this moment, and finds it empty.
  await writeFile(file, list);
  await running.line(/allowed".*reloaded the list/);
  await truncate(file);
  await running.line(/the file is empty.*the list is invalid/);
  expect(one.events.slice(mark).filter(({ event }) => event === 'lease')).toEqual([]);
  await writeFile(file, '# nobody\n');
  await one.event('lease', ({ error }) => error?.code === 'unauthorized', mark);
  running.kill('SIGTERM');
  expect((await running.finished).code).toBe(0);
});

describe('SIGHUP', () => {
  it('reloads the lists and the certificate, and the relay keeps running', async () => {
    const operator = await Person.create();
    await writeFile(join(operator.folder, 'allowed'), '# nobody yet\n');
    const args = ['relay', '--json', '--listen', '127.0.0.1:0', '--allow', 'allowed'];
    const running = operator.start(args);
    const { url } = (await running.event('listening')) as unknown as { url: string };
    running.kill('SIGHUP');
    await running.line(/"signal":"SIGHUP"/);
    await running.line(/allowed".*reloaded the list/);
    await running.line(/reloaded lists and certificate/);
    await writeFile(join(operator.folder, 'allowed'), 'nonsense\n');
    running.kill('SIGHUP');
    await running.line(/did not reload every file/);
    await tcp({ port: Number(new URL(url).port) });
    running.kill('SIGTERM');
    expect((await running.finished).code).toBe(0);
    await running.line(/"signal":"SIGTERM"/);
  });

  it('says that the new certificate is invalid, and keeps the old one', async () => {
    const operator = await Person.create();
    const ca = await openLocalCa(join(operator.folder, 'ca'));
    const { cert, key } = await ca.issue(['localhost']);
    const [certFile, keyFile] = [join(operator.folder, 'cert.pem'), join(operator.folder, 'key.pem')];
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
    const args = ['relay', '--json', '--listen', '127.0.0.1:0', '--cert', certFile, '--key', keyFile];
    const running = operator.start(args);
    const { url } = (await running.event('listening')) as unknown as { url: string };
    await writeFile(certFile, 'nonsense');
    running.kill('SIGHUP');
    await running.line(
      /contains no PEM certificate.*the new certificate is invalid; still serving the old one/,
    );
    await running.line(/did not reload every file/);
    expect(running.stderr).not.toContain('reloaded lists and certificate');
    await tcp({ port: Number(new URL(url).port) });
  });
});
