import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { ensureBinary } from './debian.js';
import type { Machine } from './namespaces.js';

const run = promisify(execFile);
const BOUND = { timeout: 60_000 };

/**
 * Machines in a row, each with a wire only to the next: network namespaces that do not forward packets. `left` and
 * `right` are a machine's addresses on its two wires.
 */
export interface RowMachine extends Omit<Machine, 'readdress'> {
  readonly left: string;
  readonly right: string;
  /** Starts to record every packet. Resolves with a function that stops it and returns all bytes. */
  record(): Promise<() => Promise<Buffer>>;
}

/** They end with the test. `hosts` says which names each machine knows. Or the reason to skip. */
export async function machinesInARow(
  count: number,
  hosts: (
    machines: readonly { left: string; right: string }[],
  ) => readonly Readonly<Partial<Record<string, string>>>[],
): Promise<RowMachine[] | { skip: string }> {
  if (process.getuid?.() !== 0) return { skip: 'only root can create network namespaces' };
  const [ip, tcpdump] = [await ensureBinary('ip'), await ensureBinary('tcpdump')];
  if ('skip' in ip) return ip;
  if ('skip' in tcpdump) return tcpdump;
  const id = randomBytes(3).toString('hex');
  const places = Array.from({ length: count }, (_, index) => ({
    name: `portal-${id}-${index}`,
    left: `10.213.${80 + index}.2`,
    right: `10.213.${81 + index}.1`,
  }));
  const to = (...args: string[]): Promise<unknown> => run(ip.path, args, BOUND);
  onTestFinished(async () => {
    for (const { name } of places) {
      await to('netns', 'del', name).catch(() => undefined);
      await rm(join('/etc/netns', name), { recursive: true, force: true });
    }
  });
  try {
    for (const { name } of places) await to('netns', 'add', name);
    for (const [index, near] of places.entries()) {
      const far = places[index + 1];
      const [one, other] = [`pr${id}${index}a`, `pr${id}${index}b`];
      await to('-n', near.name, 'link', 'set', 'lo', 'up');
      if (!far) continue;
      const peer = ['type', 'veth', 'peer', 'name', other, 'netns', far.name];
      await to('link', 'add', one, 'netns', near.name, ...peer);
      await to('-n', near.name, 'addr', 'add', `${near.right}/24`, 'dev', one);
      await to('-n', far.name, 'addr', 'add', `${far.left}/24`, 'dev', other);
      await to('-n', near.name, 'link', 'set', one, 'up');
      await to('-n', far.name, 'link', 'set', other, 'up');
    }
    for (const [index, names] of hosts(places).entries()) {
      const folder = join('/etc/netns', places[index]!.name);
      await mkdir(folder, { recursive: true });
      const lines = Object.entries({ localhost: '127.0.0.1', ...names });
      // A neighbour receives and records DNS queries.
      const neighbour = places[index + 1]?.left ?? places[index - 1]!.right;
      await writeFile(join(folder, 'resolv.conf'), `nameserver ${neighbour}\n`);
      await writeFile(join(folder, 'hosts'), lines.map(([host, at]) => `${at} ${host}\n`).join(''));
    }
  } catch (error) {
    return { skip: `network namespaces do not work here (${String(error).split('\n', 1)[0]})` };
  }
  return places.map(({ name, left, right }) => {
    const within = [ip.path, 'netns', 'exec', name];
    return { address: right, left, right, within, record: () => record(within, tcpdump.path) };
  });
}

async function record(within: readonly string[], tcpdump: string): Promise<() => Promise<Buffer>> {
  const file = join('/tmp', `portal-${randomBytes(6).toString('hex')}.pcap`);
  const [command, ...rest] = [...within, tcpdump, '-i', 'any', '-s', '0', '-U', '-Z', 'root', '-w', file];
  const child: ChildProcess = spawn(command, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await rm(file, { force: true });
  });
  // The program reports that it listens.
  await once(child.stderr!, 'data');
  return async () => {
    const closed = once(child, 'close');
    child.kill('SIGINT');
    await closed;
    return readFile(file);
  };
}
