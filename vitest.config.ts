import { defineConfig } from 'vitest/config';
import { validators } from './scripts/build/validators.mjs';

export default defineConfig({
  plugins: [validators()],
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Real sockets and processes share two cores here; a slow machine must not fail a sound test.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Processes, not threads: a thread that opened the store twice does not end (the native module's threads).
    pool: 'forks',
    // Most of them wait for a network more than they compute; the default leaves a core unused.
    maxWorkers: '100%',
    reporters: ['default', './test/support/skips.ts'],
    // The last one takes settings out of the environment that building and installing may need.
    globalSetup: ['test/support/build.ts', 'test/support/peers.ts', 'test/support/environment.ts'],
  },
});
