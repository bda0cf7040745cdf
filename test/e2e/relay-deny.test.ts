import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { NOBODY, readDenyList } from '../../src/relay/denied.js';
import { agent, desired, get, handedOver, httpService, relay, service, visit } from '../support/world.js';
import { Person } from './cli-support.js';
import { line, Peer, tcp } from './relay-peer.js';

/** Whom an operator keeps out, and sends away. */

describe('an identity that is denied', () => {
  it('is sent away with its leases and visitors, hears why, and comes back once it is not any more', async () => {
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

    at.deny(NOBODY);
    await (await Peer.open(at, { identity: one.identity })).lease('bad');
  });
});

describe('portal relay --deny', () => {
  it('is read at the start and followed; a list with a mistake changes nothing', async () => {
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
    await running.line(/was read again/);
    expect(await endOf()).toBe('ECONNRESET');
    await writeFile(file, '127.0.0.0/8 and more\n');
    await running.line(/line 1.*is not as it should be/);
    expect(await endOf()).toBe('ECONNRESET');
    await writeFile(file, '');
    await vi.waitFor(async () => expect(await endOf()).toBe('end'), { timeout: 10_000 });
    running.kill('SIGTERM');
    expect((await running.finished).code).toBe(0);
  });

  it('a list that cannot be read, or is wrong, is a mistake of the command line', async () => {
    const operator = await Person.create();
    await writeFile(join(operator.folder, 'denied'), 'nonsense\n');
    for (const [file, message] of [
      ['nowhere', 'ENOENT'],
      ['denied', 'line 1'],
    ] as const) {
      const { code, stdout } = await operator.run(['relay', '--json', '--deny', file]);
      expect({ code, stdout }).toMatchObject({ code: 2, stdout: expect.stringContaining(message) });
    }
  });
});
