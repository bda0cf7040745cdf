import type { Logger } from '../lib/logger.js';
import { until } from '../lib/wait.js';
import { acceptWaiting } from './public-port/listen.js';
import type { Parts } from './parts/parts.js';
import type { Settings } from './parts/settings.js';

/** How a relay shuts down: the next process can take every port and name while visitors of this one finish. */

/** How long to serve visitors in the queue. There are four reasons to wait, so four times this at most. */
const SETTLE_MS = 500;
/** How long agents may take to move to another node, after they began: while this node listens, and afterwards. Visitors, too. */
const MOVE_MS = 4_000;
/** A load balancer has noticed that this node stops if it sent no visitor for this long. */
const QUIET_MS = 1_000;

export interface ShutDownOptions {
  readonly drainMs: number;
  /** Called when this node accepts nothing more. It keeps its leases until the result resolves. */
  readonly beforeRelease?: (() => Promise<void>) | undefined;
}

/** Whether agents can move to another node before this one stops. */
function canMoveAgents({ options, nodes }: Settings): boolean {
  return options.cluster?.sharesPorts !== true && [...nodes.others].length > 0;
}

export async function shutDown(
  parts: Parts,
  settings: Settings,
  { drainMs, beforeRelease }: ShutDownOptions,
): Promise<void> {
  const { log } = settings;
  const { durable, visiting, leasing, chains, control, surface, health } = parts;
  const { gate } = visiting;
  const { hops } = chains;
  health.stop();
  for (const part of [durable, leasing, chains, control]) part.stop();
  const moves = drainMs > 0 && canMoveAgents(settings);
  if (moves) await moveAgents(parts, log);
  const isSettled = (): boolean => surface.front.unrouted === 0 && gate.waiting === 0;
  if (drainMs > 0) {
    const accepted = (): number => surface.front.accepted + leasing.accepted;
    await acceptWaiting(accepted, SETTLE_MS);
    // Visitors that still wait get no data connection once agents cannot connect.
    await until(isSettled, SETTLE_MS);
    await acceptWaiting(accepted, SETTLE_MS);
  }
  // The main port closes last: the next process waits for it, and then finds all other ports free.
  for (const part of [leasing, visiting, surface]) part.stopListening();
  // Visitors just routed can still use the idle pool, or another node. The next process of a single node should not wait long.
  if (drainMs > 0) await until(isSettled, moves ? MOVE_MS : SETTLE_MS);
  surface.stop();
  // Agents whose connections still arrived here find other nodes now.
  if (moves) await until(() => !control.draining, MOVE_MS);
  // Visitors of these leases may still arrive at other nodes.
  // Without it, nothing waits: a node that expired ends its leases before another visitor arrives.
  if (beforeRelease) await beforeRelease();
  control.announceShutdown();
  const released = leasing.close();
  visiting.close();
  // From here on this process writes nothing, and the next one uses the store.
  await Promise.all([released, durable.close()]);
  if (drainMs > 0 && gate.size > 0)
    log.info({ visitors: gate.size, drainMs }, 'waiting for visitors to finish');
  await Promise.all([gate.drain({ ms: drainMs }), hops.drain({ ms: drainMs })]);
  chains.close();
  control.close();
  await surface.close();
}

/** Lets agents move to other nodes, while this node still accepts visitors, and forwards those of agents that have moved. */
async function moveAgents({ control, visiting }: Parts, log: Logger): Promise<void> {
  visiting.remote.forwardOnly();
  const withinMs = control.drain();
  const { size } = control.sessions;
  if (size > 0) log.info({ sessions: size }, 'moving agents to other nodes');
  await until(() => !control.draining && visiting.gate.quietMs >= QUIET_MS, withinMs + MOVE_MS);
}
