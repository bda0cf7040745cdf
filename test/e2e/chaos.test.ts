import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, it, onTestFinished } from 'vitest';
import { programFor, type Program } from '../support/debian.js';

/** A short run of the chaos harness. `npm run chaos` is the long one. docs/explanation/chaos.md says what it checks. */

const NEEDED: readonly Program[] = ['ip', 'nft', 'dnsmasq'];
/** This seed has kills, partitions of agents and of peers, a relay of the pool, a full disk and clock jumps. */
const RUN = ['--seed', '14', '--faults', '10', '--most-ms', '2000', '--relays', '3', '--agents', '1'];
const SHORT = ['--warm-up', '2', '--flow-idle', '4', '--settle', '30', '--json'];

interface Report {
  readonly faults: number;
  readonly requests: number;
  readonly streams: number;
  readonly touched: { readonly chains: number; readonly pools: number };
  readonly violations: readonly object[];
}

async function chaos(): Promise<{ report: Report; code: number | null; stderr: string; pid: number }> {
  const child = spawn(process.execPath, ['chaos/run.mjs', ...RUN, ...SHORT], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (stdout === '') throw new Error(`the harness printed nothing\n${stderr}`);
  return { report: JSON.parse(stdout) as Report, code, stderr, pid: child.pid! };
}

it(
  'survives ten faults with live visitors without losses and leaks',
  { timeout: 240_000 },
  async (context) => {
    if (process.getuid?.() !== 0) return context.skip('only root can create network namespaces');
    for (const program of NEEDED) await programFor(context, program);
    const { report, code, stderr, pid } = await chaos();
    // The first line is all that a report of flaky tests shows.
    if (report.violations.length > 0) throw new Error(`${JSON.stringify(report.violations)}\n${stderr}`);
    expect(code).toBe(0);
    expect(report.faults).toBe(10);
    expect(report.requests).toBeGreaterThan(100);
    expect(report.streams).toBeGreaterThan(20);
    expect(report.touched.chains).toBeGreaterThan(0);
    expect(report.touched.pools).toBeGreaterThan(0);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith(`portal-chaos-${pid}-`))).toEqual([]);
    return undefined;
  },
);
