/**
 * A request's id: the run of the agent that recorded it, and a number within that run, combined in one increasing number.
 * People see it as `RUN-NUMBER`. A run without a history has number 0.
 */

/** More requests than one run can record. */
const RUN = 1_000_000_000;
export const MAX_RUN = 999_999;

export const firstOfRun = (run: number): number => run * RUN;
export const runOf = (id: number): number => Math.floor(id / RUN);

export function idText(id: number): string {
  const run = runOf(id);
  return run === 0 ? String(id) : `${run}-${id % RUN}`;
}

/** Undefined for an invalid id. */
export function parseId(text: string): number | undefined {
  const [, run = '0', number] = /^(?:(\d{1,6})-)?(\d{1,9})$/.exec(text) ?? [];
  return number === undefined ? undefined : Number(run) * RUN + Number(number);
}
