import { installMissing } from './debian.js';

/** Real peers for the tests, before any of them runs: a test's own time is too short to install in. */
export default async function setup(): Promise<void> {
  const failure = await installMissing();
  // oxlint-disable-next-line no-console
  if (failure !== undefined) console.warn(`Tests with these peers are skipped: ${failure}.`);
}
