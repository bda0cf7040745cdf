import type { Logger } from '../lib/logger.js';
import type { Agents } from './agents/agents.js';
import type { ExpiryClock } from './names/expiry-clock.js';
import type { LeaseRegistry } from './leases/leases.js';
import type { RelayLimits } from './limits.js';
import type { Reservations } from './names/reservations.js';

const STORE_UPKEEP_MS = 3_600_000;
const MIN_CONFIRM_MS = 50;

export interface UpkeepParts {
  readonly leases: LeaseRegistry;
  readonly agents: Agents;
  readonly reservations: Reservations;
  readonly clock: ExpiryClock;
  readonly limits: Pick<RelayLimits, 'reserveAfterMs'>;
  readonly log: Logger;
  readonly machineLog: Pick<Logger, 'warn'>;
}

/** Keeps the store current: renews names in use, forgets expired ones. Returns what stops it. */
export function startUpkeep({
  leases,
  agents,
  reservations,
  clock,
  limits,
  log,
  machineLog,
}: UpkeepParts): () => void {
  const upkeep = setInterval(() => {
    leases.names.refresh();
    agents.refresh();
    warnOfClock(clock, machineLog);
    reservations.forget().catch((error: unknown) => log.error({ err: error }, 'cannot clean up the store'));
  }, STORE_UPKEEP_MS).unref();
  const confirmMs = Math.min(60_000, Math.max(MIN_CONFIRM_MS, limits.reserveAfterMs / 4));
  const confirming = setInterval(() => leases.names.confirm(confirmMs), confirmMs).unref();
  return () => {
    clearInterval(upkeep);
    clearInterval(confirming);
  };
}

export function warnOfClock({ aheadMs }: ExpiryClock, log: Pick<Logger, 'warn'>): void {
  if (aheadMs > 0) log.warn({ aheadMs }, 'the clock is far ahead: ignoring it for the expiry of names');
}
