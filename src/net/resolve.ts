import { getDefaultResultOrder, lookup } from 'node:dns';
import { systemCode } from '../lib/errors.js';

/** Names to IP addresses, a family at a time: an answer for one never waits for the other's (RFC 8305 §3). */

export type Family = 4 | 6;

/** Told of each family once: its addresses, in the resolver's order, or why there are none. */
export type Resolved = (family: Family, addresses: readonly string[], error?: Error) => void;

export interface Resolver {
  /** Which family is tried first. */
  readonly first: (name: string) => Family;
  readonly resolve: (name: string, resolved: Resolved) => void;
}

const LOOPBACK = { 4: ['127.0.0.1'], 6: ['::1'] } as const;

/** These names mean this machine, whatever its hosts file says (RFC 6761 §6.3). */
function isLocalhost(name: string): boolean {
  return /^(?:.+\.)?localhost\.?$/i.test(name);
}

/**
 * A lookup cannot be cancelled, and holds one of node's few threads: whoever wants to know the same waits for the one
 * that is under way.
 */
const underway = new Map<string, Resolved[]>();

function ask(name: string, family: Family, resolved: Resolved): void {
  const key = `${family} ${name}`;
  const waiting = underway.get(key);
  if (waiting) return void waiting.push(resolved);
  const all = [resolved];
  underway.set(key, all);
  lookup(name, { family, all: true }, (error, found) => {
    underway.delete(key);
    const addresses = error ? [] : found.map(({ address }) => address);
    for (const tell of all) tell(family, addresses, error ?? undefined);
  });
}

/** As the system does it: hosts file, DNS, and what else it has. */
export const systemResolver: Resolver = {
  // What listens for this machine alone listens on 127.0.0.1 more often.
  first: (name) => (isLocalhost(name) || getDefaultResultOrder() === 'ipv4first' ? 4 : 6),
  resolve: (name, resolved) => {
    for (const family of [6, 4] as const) {
      if (isLocalhost(name)) resolved(family, LOOPBACK[family]);
      else ask(name, family, resolved);
    }
  },
};

/** After an answer for one family, the other's is waited for this long (RFC 8305 §3). */
export const RESOLUTION_DELAY_MS = 50;

/**
 * The addresses of `name`, as lists, of the families that answer: the other one is not waited for much longer, nor at
 * all once `isEnough`. Rejects where neither has an address. The caller bounds the time.
 */
export function addressesByFamily(
  name: string,
  isEnough: (addresses: readonly string[]) => boolean = () => false,
  resolver: Resolver = systemResolver,
): Promise<Readonly<Record<Family, readonly string[]>>> {
  return new Promise((resolve, reject) => {
    const found: Record<Family, readonly string[]> = { 4: [], 6: [] };
    let [answers, isOver] = [0, false];
    let failure: Error | undefined;
    let late: NodeJS.Timeout | undefined;
    const finish = (): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(late);
      if (found[4].length + found[6].length > 0) resolve(found);
      else reject(failure ?? notFound(name));
    };
    resolver.resolve(name, (family, addresses, error) => {
      answers += 1;
      found[family] = addresses;
      // "There is no such name" says less than "the server does not answer".
      if (!failure || systemCode(failure) === 'ENOTFOUND') failure = error ?? failure;
      if (answers === 2 || isEnough(addresses)) finish();
      else if (addresses.length > 0 && !isOver) late = setTimeout(finish, RESOLUTION_DELAY_MS);
    });
  });
}

export function notFound(host: string): Error {
  return Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND' });
}
