import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, it, onTestFinished } from 'vitest';
import { programFor, type Program } from '../support/debian.js';

/** A short run of the chaos harness with a relay on several machines. docs/explanation/chaos.md says what it checks. */

const NEEDED: readonly Program[] = ['ip', 'nft', 'dnsmasq', 'postgres', 'haproxy'];
/** A node and the database are killed. */
const RUN = ['--cluster', '--seed', '4', '--faults', '2', '--only', 'node-kill', '--only', 'database-kill'];

interface Report {
  readonly kinds: readonly { readonly kind: string }[];
  readonly served: { readonly requests: number };
  readonly epochs: number;
  readonly violations: readonly object[];
}

it(
  'keeps the promises of several nodes while a node and the database are killed',
  { timeout: 300_000 },
  async (context) => {
    if (process.getuid?.() !== 0) return context.skip('only root can create network namespaces');
    for (const program of NEEDED) await programFor(context, program);
    const child = spawn(process.execPath, ['chaos/run.mjs', ...RUN, '--warm-up', '3', '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    if (stdout === '') throw new Error(`the harness printed nothing\n${stderr}`);
    const { violations, kinds, served, epochs } = JSON.parse(stdout) as Report;
    // The log helps only with a violation.
    expect(violations.length === 0 ? [] : [...violations, stderr]).toEqual([]);
    expect(code).toBe(0);
    expect(kinds.map(({ kind }) => kind)).toEqual(['node-kill', 'database-kill']);
    expect(served.requests).toBeGreaterThan(20);
    expect(epochs).toBeGreaterThan(5);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith(`portal-chaos-${child.pid}-`))).toEqual([]);
    return undefined;
  },
);
