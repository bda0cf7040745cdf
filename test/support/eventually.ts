import { vi } from 'vitest';

/** A busy machine is slow; what never becomes true takes this long to fail. */
const TIMEOUT_MS = 20_000;

/** Repeats `check` until it does not throw. Waits for longer than vi.waitFor's second; expect.poll waits as long. */
export function eventually<T>(check: () => T | Promise<T>, timeoutMs = TIMEOUT_MS): Promise<T> {
  return vi.waitFor(check, { timeout: timeoutMs });
}
