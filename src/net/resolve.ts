import { getDefaultResultOrder, lookup } from 'node:dns';
import { systemCode } from '../lib/errors.js';

/** Resolves names to IP addresses, one family at a time: one family never waits for the other (RFC 8305 §3). */

export type Family = 4 | 6;

/** Called once for each family: its addresses, in the resolver's order, or the error. */
export type Resolved = (family: Family, addresses: readonly string[], error?: Error) => void;

export interface Resolver {
  /** The family to try first. */
  readonly first: (name: string) => Family;
  readonly resolve: (name: string, resolved: Resolved) => void;
}

const LOOPBACK = { 4: ['127.0.0.1'], 6: ['::1'] } as const;

/** These names mean this machine, whatever its hosts file contains (RFC 6761 §6.3). */
export function isLocalhost(name: string): boolean {
  return /^(?:.+\.)?localhost\.?$/i.test(name);
}

/**
 * Lookups in progress. A lookup cannot be cancelled and occupies one of node's few threads, so later callers share it.
 */
const pending = new Map<string, Resolved[]>();

function ask(name: string, family: Family, resolved: Resolved): void {
  const key = `${family} ${name}`;
  const waiting = pending.get(key);
  if (waiting) return void waiting.push(resolved);
  const all = [resolved];
  pending.set(key, all);
  lookup(name, { family, all: true }, (error, found) => {
    pending.delete(key);
    const addresses = error ? [] : found.map(({ address }) => address);
    for (const tell of all) tell(family, addresses, error ?? undefined);
  });
}

/** The system's resolver: hosts file, DNS and its other sources. */
export const systemResolver: Resolver = {
  // Local services listen on 127.0.0.1 more often than on ::1.
  first: (name) => (isLocalhost(name) || getDefaultResultOrder() === 'ipv4first' ? 4 : 6),
  resolve: (name, resolved) => {
    for (const family of [6, 4] as const) {
      if (isLocalhost(name)) resolved(family, LOOPBACK[family]);
      else ask(name, family, resolved);
    }
  },
};

/** Every address of `name`, those of the family to try first in front. Rejects if it has none. */
export function allAddresses(name: string, resolver: Resolver = systemResolver): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const found: Partial<Record<Family, readonly string[]>> = {};
    let failure: Error | undefined;
    resolver.resolve(name, (family, addresses, error) => {
      found[family] = addresses;
      // A server failure says more than "not found".
      if (!failure || systemCode(failure) === 'ENOTFOUND') failure = error ?? failure;
      if (!found[4] || !found[6]) return;
      const all = resolver.first(name) === 4 ? [...found[4], ...found[6]] : [...found[6], ...found[4]];
      if (all.length > 0) resolve(all);
      else reject(failure ?? notFound(name));
    });
  });
}

/** How long to wait for the second family after the first has answered (RFC 8305 §3). */
export const RESOLUTION_DELAY_MS = 50;

/**
 * The addresses of `name`, one list per family. After one family has answered, it waits only briefly for the other, and
 * not at all once `isEnough`. Rejects if neither has an address. The caller sets a timeout.
 */
export function addressesByFamily(
  name: string,
  isEnough: (addresses: readonly string[]) => boolean = () => false,
  resolver: Resolver = systemResolver,
): Promise<Readonly<Record<Family, readonly string[]>>> {
  return new Promise((resolve, reject) => {
    const found: Record<Family, readonly string[]> = { 4: [], 6: [] };
    let [answers, isDone] = [0, false];
    let failure: Error | undefined;
    let late: NodeJS.Timeout | undefined;
    const finish = (): void => {
      if (isDone) return;
      isDone = true;
      clearTimeout(late);
      if (found[4].length + found[6].length > 0) resolve(found);
      else reject(failure ?? notFound(name));
    };
    resolver.resolve(name, (family, addresses, error) => {
      answers += 1;
      found[family] = addresses;
      // A server failure says more than "not found".
      if (!failure || systemCode(failure) === 'ENOTFOUND') failure = error ?? failure;
      if (answers === 2 || isEnough(addresses)) finish();
      else if (addresses.length > 0 && !isDone) late = setTimeout(finish, RESOLUTION_DELAY_MS);
    });
  });
}

export function notFound(host: string): Error {
  return Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND' });
}
