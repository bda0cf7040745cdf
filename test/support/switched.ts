import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { ensureBinary } from './debian.js';
import type { Machine } from './namespaces.js';

const run = promisify(execFile);
const BOUND = { timeout: 60_000 };

/**
 * Machines on one switch, each with the address that `addresses` gives its name: network namespaces of this machine. All know
 * `hosts`, and end with the test. Or the reason to skip.
 */
export async function switchedMachines<Name extends string>(
  addresses: Readonly<Record<Name, string>>,
  hosts: Readonly<Record<string, string>>,
): Promise<Readonly<Record<Name, Pick<Machine, 'within'>>> | { skip: string }> {
  if (process.getuid?.() !== 0) return { skip: 'only root can create network namespaces' };
  const ip = await ensureBinary('ip');
  if ('skip' in ip) return ip;
  const id = randomBytes(3).toString('hex');
  const nameOf = (machine: string): string => `portal-${id}-${machine}`;
  const machines = Object.entries<string>(addresses);
  const to = (...args: string[]): Promise<unknown> => run(ip.path, args, BOUND);
  onTestFinished(async () => {
    for (const [machine] of [...machines, ['switch']]) {
      await to('netns', 'del', nameOf(machine!)).catch(() => undefined);
      await rm(join('/etc/netns', nameOf(machine!)), { recursive: true, force: true });
    }
  });
  try {
    await to('netns', 'add', nameOf('switch'));
    await to('-n', nameOf('switch'), 'link', 'add', 'bridge', 'type', 'bridge');
    await to('-n', nameOf('switch'), 'link', 'set', 'bridge', 'up');
    for (const [index, [machine, address]] of machines.entries()) {
      const [name, port] = [nameOf(machine), `port${index}`];
      await to('netns', 'add', name);
      const peer = ['type', 'veth', 'peer', 'name', port, 'netns', nameOf('switch')];
      await to('link', 'add', 'eth0', 'netns', name, ...peer);
      await to('-n', nameOf('switch'), 'link', 'set', port, 'master', 'bridge', 'up');
      for (const link of ['lo', 'eth0']) await to('-n', name, 'link', 'set', link, 'up');
      await to('-n', name, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
      await mkdir(join('/etc/netns', name), { recursive: true });
      const lines = Object.entries({ localhost: '127.0.0.1', ...hosts }).map(
        ([host, at]) => `${at} ${host}\n`,
      );
      await writeFile(join('/etc/netns', name, 'hosts'), lines.join(''));
    }
  } catch (error) {
    return { skip: `network namespaces do not work here (${String(error).split('\n', 1)[0]})` };
  }
  const within = (machine: string) => ({ within: [ip.path, 'netns', 'exec', nameOf(machine)] });
  // `fromEntries` forgets the names.
  return Object.fromEntries(machines.map(([machine]) => [machine, within(machine)])) as unknown as Readonly<
    Record<Name, Pick<Machine, 'within'>>
  >;
}
