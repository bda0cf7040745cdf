/**
 * A header of the upgrade to a data connection. If the request and the response have it, the connection serves several visitors,
 * one after another, in frames (net/reuse/frames.ts).
 */
export const REUSE_HEADER = 'portal-reuse';

/** The value in the request. */
export const REUSE = '1';

const CONFIRMED = /^1(?:; tickets=([\w-]{1,16}))?$/;

/** The value in the response. Later tickets for the connection should have names that begin with `tag`. */
export const confirmReuse = (tag: string): string => (tag === '' ? REUSE : `${REUSE}; tickets=${tag}`);

/** The `tag` of a response's header; undefined if the relay does not confirm. */
export function readReuse(value: string | undefined): string | undefined {
  const match = CONFIRMED.exec(value ?? '');
  return match ? (match[1] ?? '') : undefined;
}
