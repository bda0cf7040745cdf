/**
 * A request's id: the run of the agent that recorded it, and its number within that. One number that grows, so that what
 * is newer of one run compares as greater; people read and write it as `RUN-NUMBER`. A run that is not kept has none.
 */

/** More than one run ever records. */
const RUN = 1_000_000_000;
export const MAX_RUN = 999_999;

export const firstOfRun = (run: number): number => run * RUN;
export const runOf = (id: number): number => Math.floor(id / RUN);

export function idText(id: number): string {
  const run = runOf(id);
  return run === 0 ? String(id) : `${run}-${id % RUN}`;
}

/** Undefined for what is no id. */
export function parseId(text: string): number | undefined {
  const [, run = '0', number] = /^(?:(\d{1,6})-)?(\d{1,9})$/.exec(text) ?? [];
  return number === undefined ? undefined : Number(run) * RUN + Number(number);
}
