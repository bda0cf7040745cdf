/** Milliseconds, of one clock for all processes of the harness. */
export const now = () => Math.round((performance.timeOrigin + performance.now()) * 10) / 10;
