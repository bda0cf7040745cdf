import { defineConfig } from 'vitest/config';
import { threads } from './build/threads.mjs';
import { validators } from './build/validators.mjs';

/** The quick tests of scripts/node-matrix.mjs, which builds first. */
export default defineConfig({
  plugins: [validators(), threads()],
  test: {
    include: [
      'src/net/**/*.test.ts',
      // Process groups, signals and the ends of their output.
      'src/agent/commands/*.test.ts',
      'test/e2e/spine.test.ts',
      'test/node-version.test.ts',
    ],
    // Slow, and bytes move the same way on every Node. pour-internals.test.ts checks the internals that differ.
    exclude: ['src/net/splice/pour.test.ts'],
    testTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
    pool: 'forks',
    isolate: false,
    reporters: ['default', './test/support/skips.ts'],
  },
});
