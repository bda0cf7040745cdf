const MAX_RETURN_CHARS = 1_024;
/** Paths of gates begin with this. */
const GATES = '/__portal/';

/** Where a visitor continues after a gate: `to` if every URL parser reads it as a path on this host, or else `/`. */
export function returnPath(to: string): string {
  const isLocal = to.length <= MAX_RETURN_CHARS && /^\/(?![/\\])[!-~]*$/.test(to) && !to.startsWith(GATES);
  return isLocal ? to : '/';
}
