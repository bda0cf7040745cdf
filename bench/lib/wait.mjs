import { createServer } from 'node:net';

/** Looks every few milliseconds until `test` holds; after `ms` it gives up on `what`. */
export async function until(test, what, { everyMs = 10, ms = 10_000 } = {}) {
  const end = performance.now() + ms;
  while (!test()) {
    if (performance.now() > end) throw new Error(`${what} did not come within ${ms} ms`);
    await pause(everyMs);
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A TCP port that nobody has at the moment. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
