import { relayKey, type UrlRelay } from '../agent/spec.js';
import type { Desired } from '../config/desired.js';
import { LockInvalid, type LockEntries } from '../config/files/lock-file.js';
import { loadLock, lockFileOf } from '../config/files/lock.js';
import { ConfigInvalid } from '../library/config-invalid.js';

/** The entries of portal.lock, for the relays of a configuration. */
export interface LockState {
  readonly file: string;
  readonly entries: LockEntries;
  /** The address of each relay's key by the relay's origin; null if the lock does not have it. */
  readonly relays: Readonly<Record<string, string | null>>;
}

/**
 * Reads the lock next to the configuration; undefined for standard input. Throws `ConfigInvalid` if it is malformed.
 */
export async function loadLockState(desired: Desired): Promise<LockState | undefined> {
  if (desired.file === undefined) return undefined;
  const file = lockFileOf(desired.file);
  try {
    const entries = await loadLock(file);
    const relays = remoteRelays(desired).map((relay) => {
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

/** The fields that `--json` prints. */
export function lockFields({ file, relays }: LockState): Pick<LockState, 'file' | 'relays'> {
  return { file, relays };
}

/** One line about the relays that are not in the lock yet; undefined if all are. */
export function describeUnlocked({ relays }: LockState): string | undefined {
  const unknown = Object.entries(relays).flatMap(([origin, address]) => (address === null ? [origin] : []));
  if (unknown.length === 0) return undefined;
  const which = unknown.length > 3 ? `${unknown.length} relays` : unknown.join(', ');
  return `first connection to ${which}: portal up will save the relay's key in portal.lock`;
}

/** Every relay with a key to pin, including hops of chains, without duplicates. */
function remoteRelays({ relays, services }: Desired): UrlRelay[] {
  const named = [...relays, ...services.flatMap((service) => service.relays)];
  const each = named.flatMap((relay) => {
    if (relay.kind === 'chain') return relay.hops;
    return relay.kind === 'url' ? [relay] : [];
  });
  return [...new Map(each.map((relay) => [relayKey(relay), relay])).values()];
}
