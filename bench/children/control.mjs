import { Socket } from 'node:net';

/**
 * Loaded into a process under test with `node --import`. Collects garbage when the benchmark requests it through a
 * separate pipe, which does not keep the process alive.
 */

const { PORTAL_BENCH_CONTROL: fd } = process.env;
delete process.env.PORTAL_BENCH_CONTROL;
// Workers of a relay inherit its arguments, but not the pipe.
if (fd) listen(new Socket({ fd: Number(fd) }));

function listen(control) {
  control.unref();
  control.on('error', () => undefined);
  control.on('data', async () => {
    // Finalizers release buffers after the collection.
    for (let round = 0; round < 3; round++) {
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    control.write('{}\n');
  });
}
