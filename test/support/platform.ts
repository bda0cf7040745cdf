import type { TestContext } from 'vitest';

/** Skips the test, with the reason, where files have no owner and mode. */
export function needsModes(context: TestContext): void {
  if (process.platform === 'win32') context.skip('Windows keeps no owner and mode of a file');
}
