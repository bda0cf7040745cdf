/** Milliseconds of one clock that all processes of the harness share. */
export const now = () => Math.round((performance.timeOrigin + performance.now()) * 10) / 10;
