import { vi } from 'vitest';

/** A busy machine is slow. A condition that never becomes true takes this long to fail. */
const TIMEOUT_MS = 40_000;

/**
 * Repeats `check` until it does not throw. Waits longer than the one second of vi.waitFor, and as long as expect.poll.
 */
export function eventually<T>(check: () => T | Promise<T>, timeoutMs = TIMEOUT_MS): Promise<T> {
  return vi.waitFor(check, { timeout: timeoutMs });
}
