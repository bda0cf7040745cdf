import { installMissing } from './debian.js';

/** Installs real peers before any test runs, because a test's timeout is too short for it. */
export default async function setup(): Promise<void> {
  const failure = await installMissing();
  // oxlint-disable-next-line no-console
  if (failure !== undefined) console.warn(`Tests with these peers are skipped: ${failure}.`);
}
