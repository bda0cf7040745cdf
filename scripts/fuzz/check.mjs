/** What targets check with. */

/** A call that takes longer than this lets a stranger stall the process. */
const MAX_CALL_MS = 50;

export function timed(call) {
  let best = Infinity;
  // A pause of the machine must not count as the call's: only one that is slow every time is slow.
  for (let attempt = 0; attempt < 3; attempt++) {
    const start = performance.now();
    const result = call();
    best = Math.min(best, performance.now() - start);
    if (best <= MAX_CALL_MS) return result;
  }
  throw new Error(`a call took ${best.toFixed(1)} ms`);
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
