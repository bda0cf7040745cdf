import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { threads } from './scripts/build/threads.mjs';
import { validators } from './scripts/build/validators.mjs';
import { LongestFirst } from './test/support/longest-first.js';

/** What a test imports that starts programs: Portal's own, a browser, a real peer. */
const PROGRAMS =
  /from '(node:child_process|.*\/(cli-support|browser|daemon|debian|hosts|namespaces|pebble|postgres|row)\.js)'/;

const root = fileURLToPath(new URL('.', import.meta.url));
const slow = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .map((file) => join('test', file))
  .filter((file) => file.endsWith('.test.ts') && PROGRAMS.test(readFileSync(join(root, file), 'utf8')));

/**
 * The gate repeats a failed test once, because its processes and sockets share a busy machine. `.ci/summary.mjs` lists
 * each test that needed it.
 */
const SHARED = { retry: process.env['CI'] ? 1 : 0 };

const project = (name: string, test: { include: string[]; exclude?: string[]; retry?: number }) => ({
  extends: true as const,
  test: { name, ...test },
});

export default defineConfig({
  plugins: [validators(), threads()],
  test: {
    projects: [
      project('unit', {
        include: ['src/**/*.test.ts', 'test/*.test.ts', 'test/web/*.test.ts'],
        exclude: slow,
      }),
      project('e2e', { include: ['test/{e2e,compliance}/*.test.ts'], exclude: slow, ...SHARED }),
      project('slow', { include: slow, ...SHARED }),
    ],
    // Real sockets and processes share two cores here; a slow machine must not fail a sound test.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 40_000 } },
    // Processes, not threads: a thread that opened the store twice does not end (the native module's threads).
    pool: 'forks',
    // One module graph per process, not one per file: loading relay and agent costs more than most files' tests.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    // Most of them wait for a network more than they compute. A number: vitest caps a percentage at the cores.
    maxWorkers: availableParallelism() + 2,
    reporters: ['default', './test/support/skips.ts'],
    // The last one takes settings out of the environment that building and installing may need.
    globalSetup: ['test/support/build.ts', 'test/support/peers.ts', 'test/support/environment.ts'],
  },
});
