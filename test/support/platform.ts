import type { TestContext } from 'vitest';

/** Skips the test, with the reason, on systems whose files have no owner and mode. */
export function needsModes(context: TestContext): void {
  if (process.platform === 'win32') context.skip('Windows files have no owner and mode');
}
