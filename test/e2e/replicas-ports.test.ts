import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { greeting, replicaOf, siblings, tcpReplica, type Replica } from '../support/replicas.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { relay, type TestRelay } from '../support/world.js';

const stop = ({ runner }: Replica): Promise<void> => runner.stop({ reason: 'test', drainMs: 0 });

/** Replicas whose service greets with its name, in mode tcp. */
async function tcpReplicas(
  at: TestRelay,
  names: readonly string[],
  replicas: 'spread' | 'failover' = 'spread',
) {
  const as = await siblings();
  const all: Replica[] = [];
  for (const says of names) all.push(await tcpReplica(at.spec, says, { as, replicas }));
  return all;
}

async function greetings(port: number, count: number): Promise<string> {
  const all: string[] = [];
  for (let index = 0; index < count; index++) all.push(await greeting(port));
  return all.toSorted().join('');
}

/** Resolves once visitors are served like this. A replica that was slow gets none for a few seconds. */
const divided = (port: number, expected: string): Promise<void> =>
  eventually(async () => expect(await greetings(port, expected.length)).toBe(expected));

describe('replicas in mode tcp', () => {
  it('share one public port, which stays while any of them is there', async () => {
    const at = await relay({ ports: { tcp: 'any' } });
    const [a, b, c] = await tcpReplicas(at, ['a', 'b', 'c']);
    expect([b!.port, c!.port]).toEqual([a!.port, a!.port]);
    await divided(a!.port, 'aaabbbccc');
    await stop(a!);
    await divided(a!.port, 'bbcc');
    await stop(c!);
    expect(await greetings(a!.port, 2)).toBe('bb');
    await stop(b!);
    await expect(greeting(a!.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('with failover, become ready while another one serves the port', async () => {
    const at = await relay({ ports: { tcp: 'any' } });
    const [a, b] = await tcpReplicas(at, ['a', 'b'], 'failover');
    expect(await greetings(b!.port, 3)).toBe('aaa');
    expect(b!.runner.snapshot().leases[0]!.unproven).toBeUndefined();
    await stop(a!);
    expect(await greetings(b!.port, 2)).toBe('bb');
  });
});

/** Replicas whose service answers with its name and the question. */
async function udpReplicas(at: TestRelay, names: readonly string[]) {
  const as = await siblings();
  const all: Replica[] = [];
  for (const says of names) {
    const local = await udpService((payload) => Buffer.from(`${says} ${payload.toString()}`));
    all.push(await replicaOf(at.spec, says, local, { as, mode: 'udp' }));
  }
  return all;
}

describe('replicas in mode udp', () => {
  it('keep each visitor at one of them, and divide the visitors', async () => {
    const at = await relay({ ports: { udp: 'any' } });
    const [a, b] = await udpReplicas(at, ['a', 'b']);
    expect(b!.port).toBe(a!.port);
    await eventually(() => expect(at.counts().flows).toBe(0));
    const visitors = await Promise.all(Array.from({ length: 4 }, () => udpVisitor(a!.port)));
    const served: string[] = [];
    for (const visitor of visitors) {
      const [first] = (await visitor.ask('1')).split(' ');
      for (const question of ['2', '3', '4'])
        expect(await visitor.ask(question)).toBe(`${first} ${question}`);
      served.push(first!);
    }
    expect(served.toSorted().join('')).toBe('aabb');
  });

  it('take over the visitors of one that ended, at the same port', async () => {
    const at = await relay({ ports: { udp: 'any' } });
    const [a, b] = await udpReplicas(at, ['a', 'b']);
    const visitors = await Promise.all(Array.from({ length: 4 }, () => udpVisitor(a!.port)));
    for (const visitor of visitors) await visitor.ask('1');
    await stop(a!);
    for (const visitor of visitors) await eventually(async () => expect(await visitor.ask('2')).toBe('b 2'));
    expect(b!.runner.snapshot().leases[0]!.visitors).toBe(4);
  });
});
