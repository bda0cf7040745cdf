import { createServer } from 'node:net';

/** Polls every few milliseconds until `test` returns true, or a promise of it. Rejects after `ms`, naming `what`. */
export async function until(test, what, { everyMs = 10, ms = 10_000 } = {}) {
  const end = performance.now() + ms;
  while (!(await test())) {
    if (performance.now() > end) throw new Error(`${what} timed out after ${ms} ms`);
    await pause(everyMs);
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A free TCP port. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
