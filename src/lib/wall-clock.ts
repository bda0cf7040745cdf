/** How often a wait looks at the clock. */
const LOOK_MS = 60_000;

/**
 * Calls `due` once when the clock of this machine shows `at` or later, in milliseconds since the epoch. A plain timer would be late: it
 * stops while the machine sleeps, and ignores that somebody sets the clock. Returns a function that ends the wait. The process
 * does not stay alive for it.
 */
export function atTime(at: number, due: () => void): () => void {
  let timer: NodeJS.Timeout;
  const look = (): void => {
    const leftMs = at - Date.now();
    const then = (): void => (Date.now() < at ? look() : due());
    timer = setTimeout(then, Math.min(Math.max(0, leftMs), LOOK_MS)).unref();
  };
  look();
  return () => clearTimeout(timer);
}

/** The hint of an error that a wrong clock of this machine explains. */
export const checkClock = (now = new Date()): string =>
  `Check the clock of this machine. It shows ${now.toISOString()}.`;
