import type { TestProject } from 'vitest/node';
import { installMissing } from './debian.js';

/**
 * Installs real peers before any test runs, because a test's timeout is too short for it. Only tests of the project
 * `slow` use them.
 */
export default async function setup({ vitest }: TestProject): Promise<void> {
  if (!vitest.projects.some(({ name }) => name === 'slow')) return;
  const failure = await installMissing();
  // oxlint-disable-next-line no-console
  if (failure !== undefined) console.warn(`Tests with these peers are skipped: ${failure}.`);
}
