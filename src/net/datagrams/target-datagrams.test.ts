import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../../test/support/ports.js';
import { eventually } from '../../../test/support/eventually.js';
import { hasIpv6, NO_IPV6 } from '../../../test/support/ipv6.js';
import { LOOPBACKS } from '../../../test/support/loopbacks.js';
import { udpService } from '../../../test/support/udp.js';
import type { TcpTarget } from '../target/addresses.js';
import { TargetDatagrams } from './target-datagrams.js';
import { parseTarget } from '../target/target.js';

const on = (port: number, host = 'localhost'): TcpTarget => parseTarget(`${host}:${port}`) as TcpTarget;

async function conversation(target: TcpTarget) {
  const heard: string[] = [];
  const failures: [message: string, lost: number][] = [];
  const opened = await TargetDatagrams.open(target, 1 << 20, {
    onMessage: (payload) => heard.push(payload.toString()),
    onFailed: ({ message }, lost) => failures.push([message, lost]),
    onOverrun: () => 0,
    onEnd: () => failures.push(['ended', 0]),
  });
  onTestFinished(() => opened.close());
  const say = (...words: string[]): boolean[] => words.map((word) => opened.send(Buffer.from(word)));
  return { say, heard, failures, opened };
}

describe('datagrams to a target on this machine', () => {
  it.for(LOOPBACKS)('all arrive on %s, including the first ones', async (at, { skip }) => {
    if (at === '::1' && !hasIpv6) skip(NO_IPV6);
    const { port } = await udpService(undefined, await freePort(), at);
    const { say, heard, failures } = await conversation(on(port));
    say('one', 'two', 'three');
    await eventually(() => expect(heard).toEqual(['one', 'two', 'three']));
    expect(failures).toEqual([]);
  });

  it('follow a service that moves to another address, without loss', async ({ skip }) => {
    if (!hasIpv6) skip(NO_IPV6);
    let one = await udpService(undefined, await freePort());
    const { port } = one;
    const { say, heard, failures } = await conversation(on(port));
    for (const at of ['::1', '127.0.0.1', '::1'] as const) {
      say(`before ${at}`);
      await eventually(() => expect(heard).toContain(`before ${at}`));
      await one.close();
      one = await udpService(undefined, port, at);
      say(`at ${at}`);
      await eventually(() => expect(heard).toContain(`at ${at}`));
    }
    expect(failures).toEqual([]);
  });

  it('begin at the address that replied in the last conversation', async ({ skip }) => {
    if (!hasIpv6) skip(NO_IPV6);
    const six = await udpService(undefined, await freePort(), '::1');
    const target = on(six.port);
    const first = await conversation(target);
    first.say('one');
    await eventually(() => expect(first.heard).toEqual(['one']));
    const four = await udpService(undefined, six.port);
    const second = await conversation(target);
    second.say('two');
    await eventually(() => expect(second.heard).toEqual(['two']));
    expect([six.received, four.received]).toEqual([2, 0]);
  });

  it('are reported when no service receives them, and arrive when it is back', async () => {
    const echo = await udpService(undefined, await freePort());
    await echo.close();
    const { say, heard, failures } = await conversation(on(echo.port));
    say('lost');
    const tried = hasIpv6 ? '127.0.0.1 and ::1' : '127.0.0.1';
    const message = `nothing receives datagrams on port ${echo.port} (tried ${tried})`;
    await eventually(() => expect(failures).toEqual([[message, 1]]));
    await udpService(undefined, echo.port, hasIpv6 ? '::1' : '127.0.0.1');
    await eventually(() => {
      say('back');
      expect(heard).toContain('back');
    });
  });
});

it('datagrams to an address go only there', async ({ skip }) => {
  if (!hasIpv6) skip(NO_IPV6);
  const six = await udpService(undefined, await freePort(), '::1');
  const { say, failures } = await conversation(on(six.port, '127.0.0.1'));
  say('lost');
  const message = `127.0.0.1:${six.port} refused the datagrams (ECONNREFUSED)`;
  await eventually(() => expect(failures).toEqual([[message, 1]]));
  expect(six.received).toBe(0);
});

it('a closed conversation accepts no more datagrams', async () => {
  const { port } = await udpService();
  const { say, opened } = await conversation(on(port));
  opened.close();
  expect(say('late')).toEqual([false]);
});
