import { defineConfig } from 'vitest/config';
import { validators } from './build/validators.mjs';

/** The quick tests of scripts/node-matrix.mjs, which builds before them. */
export default defineConfig({
  plugins: [validators()],
  test: {
    include: ['src/net/**/*.test.ts', 'test/e2e/spine.test.ts', 'test/node-version.test.ts'],
    // How its bytes move is the same on every Node; whether it finds its way in is pour-internals.test.ts.
    exclude: ['src/net/pour.test.ts'],
    testTimeout: 30_000,
    expect: { poll: { timeout: 20_000 } },
    pool: 'forks',
    isolate: false,
    reporters: ['default', './test/support/skips.ts'],
  },
});
