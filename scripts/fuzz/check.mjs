/** Checks that targets share. */

/** A call that uses more CPU time than this would let an attacker block the process. */
const MAX_CALL_MS = 50;

export function timed(call) {
  const start = performance.now();
  const result = call();
  if (performance.now() - start <= MAX_CALL_MS) return result;
  // The machine may pause during a call. Pauses use no CPU time, and do not occur in each attempt.
  let best = Infinity;
  for (let attempt = 0; attempt < 3; attempt++) {
    const before = process.cpuUsage();
    const again = call();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / 1_000);
    if (best <= MAX_CALL_MS) return again;
  }
  throw new Error(`a call took ${best.toFixed(1)} ms of processor time`);
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

export function assertSame(actual, expected, message) {
  const [is, was] = [JSON.stringify(actual), JSON.stringify(expected)];
  assert(is === was, `${message}: ${was} became ${is}`);
}

export async function built(path) {
  const url = new URL(`../../dist/modules/${path}`, import.meta.url);
  return import(url.href).catch((error) => {
    throw new Error(`${url.pathname} cannot be loaded; run \`npm run build\` first`, { cause: error });
  });
}
