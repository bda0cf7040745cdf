import { Socket } from 'node:net';

/**
 * Loaded into a process under test (`node --import`): collects garbage when the benchmark asks on a pipe of
 * its own. It does nothing else, and does not keep the process alive.
 */

const control = new Socket({ fd: Number(process.env.PORTAL_BENCH_CONTROL) });
delete process.env.PORTAL_BENCH_CONTROL;
control.unref();
control.on('error', () => undefined);
control.on('data', async () => {
  // Buffers are given back by finalizers, which run after the collection.
  for (let round = 0; round < 3; round++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  control.write('{}\n');
});
