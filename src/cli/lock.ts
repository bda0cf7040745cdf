import { relayKey, type UrlRelay } from '../agent/spec.js';
import type { Desired } from '../config/desired.js';
import { LockInvalid, type LockEntries } from '../config/lock-file.js';
import { loadLock, lockFileOf } from '../config/lock.js';
import { ConfigInvalid } from './failure.js';

/** What portal.lock knows of the relays that a configuration names. */
export interface LockState {
  readonly file: string;
  readonly entries: LockEntries;
  /** Each relay that is named, by its origin, with the address of its key where that is known. */
  readonly relays: Readonly<Record<string, string | null>>;
}

/**
 * The lock beside the configuration; undefined where there can be none (standard input). Throws `ConfigInvalid` when it
 * cannot be made sense of.
 */
export async function loadLockState(desired: Desired): Promise<LockState | undefined> {
  if (desired.file === undefined) return undefined;
  const file = lockFileOf(desired.file);
  try {
    const entries = await loadLock(file);
    const relays = relaysElsewhere(desired).map((relay) => {
      const origin = relayKey(relay);
      return [origin, entries.get(origin)?.address ?? null] as const;
    });
    return { file, entries, relays: Object.fromEntries(relays) };
  } catch (error) {
    if (!(error instanceof LockInvalid)) throw error;
    const { line, code, message, hint } = error;
    throw new ConfigInvalid([
      { file, line, column: 1, path: '', code, message, ...(hint !== undefined && { hint }) },
    ]);
  }
}

/** As `--json` has it. */
export function lockFields({ file, relays }: LockState): Pick<LockState, 'file' | 'relays'> {
  return { file, relays };
}

/** One line about the relays whose key is yet to be met; undefined when there are none. */
export function describeUnlocked({ relays }: LockState): string | undefined {
  const unknown = Object.entries(relays).flatMap(([origin, address]) => (address === null ? [origin] : []));
  if (unknown.length === 0) return undefined;
  const which = unknown.length > 3 ? `${unknown.length} relays` : unknown.join(', ');
  return `first connection to ${which}: portal up will save the relay's key in portal.lock`;
}

/** Every relay that is named and has a key to pin, each once, hops of chains included. */
function relaysElsewhere({ relays, services }: Desired): UrlRelay[] {
  const named = [...relays, ...services.flatMap((service) => service.relays)];
  const each = named.flatMap((relay) => {
    if (relay.kind === 'chain') return relay.hops;
    return relay.kind === 'url' ? [relay] : [];
  });
  return [...new Map(each.map((relay) => [relayKey(relay), relay])).values()];
}
