import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { ensureBinary } from './debian.js';

const run = promisify(execFile);
const BOUND = { timeout: 60_000 };

/** Two machines with a wire between them: network namespaces of this one. */
export interface TwoMachines {
  readonly left: Machine;
  readonly right: Machine;
  /**
   * Makes the wire lose 5 % of the packets, in either direction. With tc-netem(8) it also delays, reorders and
   * duplicates some. Returns the reason if it cannot.
   */
  impair(): Promise<{ how: 'netem' | 'loss' } | { skip: string }>;
}

export interface Machine {
  readonly address: string;
  /** Replaces the machine's address. */
  readdress(address: string): Promise<void>;
  /** A prefix that runs a command on that machine. */
  readonly within: readonly string[];
}

/** They end with the test. `names` are hosts that both know. Or the reason to skip. */
export async function twoMachines(
  names: (machines: { left: string; right: string }) => Record<string, string>,
  { family = 4 }: { family?: 4 | 6 } = {},
): Promise<TwoMachines | { skip: string }> {
  if (process.getuid?.() !== 0) return { skip: 'only root can create network namespaces' };
  const ip = await ensureBinary('ip');
  if ('skip' in ip) return ip;
  const id = randomBytes(3).toString('hex');
  const [left, right] = ['l', 'r'].map((side) => ({ name: `portal-${id}-${side}`, link: `pt${id}${side}` }));
  const addresses =
    family === 4
      ? { left: '10.213.77.1', right: '10.213.77.2' }
      : { left: 'fd00:213:77::1', right: 'fd00:213:77::2' };
  const to = (...args: string[]): Promise<unknown> => run(ip.path, args, BOUND);
  onTestFinished(async () => {
    for (const { name } of [left!, right!]) {
      await to('netns', 'del', name).catch(() => undefined);
      await rm(etc(name), { recursive: true, force: true });
    }
  });
  try {
    for (const { name } of [left!, right!]) await to('netns', 'add', name);
    await to(
      'link',
      'add',
      left!.link,
      'netns',
      left!.name,
      'type',
      'veth',
      'peer',
      'name',
      right!.link,
      'netns',
      right!.name,
    );
    for (const [{ name, link }, address] of [
      [left!, addresses.left],
      [right!, addresses.right],
    ] as const) {
      for (const up of [link, 'lo']) await to('-n', name, 'link', 'set', up, 'up');
      await to('-n', name, 'addr', 'add', ...onLink(address), 'dev', link);
      await mkdir(etc(name), { recursive: true });
      const hosts = Object.entries({ localhost: family === 4 ? '127.0.0.1' : '::1', ...names(addresses) });
      await writeFile(join(etc(name), 'hosts'), hosts.map(([host, at]) => `${at} ${host}\n`).join(''));
    }
  } catch (error) {
    return { skip: `network namespaces do not work here (${firstLine(error)})` };
  }
  const machine = ({ name, link }: { name: string; link: string }, address: string): Machine => ({
    address,
    within: [ip.path, 'netns', 'exec', name],
    readdress: async (next) => {
      // The order matters: when an address is removed, Linux also removes later addresses of the same network.
      await to('-n', name, 'addr', 'del', onLink(address)[0]!, 'dev', link);
      await to('-n', name, 'addr', 'add', ...onLink(next), 'dev', link);
    },
  });
  return {
    left: machine(left!, addresses.left),
    right: machine(right!, addresses.right),
    async impair() {
      const tools = [await ensureBinary('tc'), await ensureBinary('nft')] as const;
      for (const tool of tools) if ('skip' in tool) return tool;
      const [tc, nft] = tools.map((tool) => ('path' in tool ? tool.path : ''));
      const netem = 'delay 20ms 5ms loss 5% reorder 20% duplicate 2%'.split(' ');
      const filter = 'type filter hook input priority 0;';
      try {
        for (const { name, link } of [left!, right!])
          await run(tc!, ['-n', name, 'qdisc', 'replace', 'dev', link, 'root', 'netem', ...netem], BOUND);
        return { how: 'netem' };
      } catch {
        // Not every kernel has netem. A firewall can at least lose packets.
      }
      try {
        for (const { name, link } of [left!, right!]) {
          const rules = `table ip t {\nchain c {\n${filter}\niifname ${link} numgen random mod 100 < 5 drop\n}\n}\n`;
          await run(ip.path, ['netns', 'exec', name, nft!, rules], BOUND);
        }
        return { how: 'loss' };
      } catch (error) {
        return { skip: `this kernel has neither netem nor nftables (${firstLine(error)})` };
      }
    },
  };
}

/** Skips duplicate address detection, so that an IPv6 address works immediately. */
const onLink = (address: string): string[] =>
  address.includes(':') ? [`${address}/64`, 'nodad'] : [`${address}/24`];

/** Files that `ip netns exec` mounts over /etc. */
const etc = (name: string): string => join('/etc/netns', name);

/** Runs a test program on one of the machines, and kills it with the test. Resolves with its first line. */
export async function startOn(
  machine: Pick<Machine, 'within'>,
  script: string,
  ...args: string[]
): Promise<string> {
  const [command, ...rest] = [...machine.within, process.execPath, script, ...args];
  const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('\n')) resolve(text.split('\n', 1)[0]!);
    });
    child.once('error', reject);
    child.once('close', () => reject(new Error(`${script} exited without output`)));
  });
}

function firstLine(error: unknown): string {
  return (error as Error).message.split('\n', 1)[0]!;
}
