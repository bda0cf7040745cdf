import type { Logger } from '../lib/logger.js';
import { until } from '../lib/wait.js';
import type { RelayOptions } from './options.js';
import type { Parts } from './parts/parts.js';
import type { Settings } from './parts/settings.js';
import { Settling, type Arrived } from './settling.js';

/** How a relay shuts down: the next process can take every port and name while visitors of this one finish. */

/** How long visitors may wait while none of them is served. A service manager may wait with the next process meanwhile. */
const QUIET_QUEUE_MS = 2_000;
/** How long agents may take to move to another node, after they began: while this node listens, and afterwards. Visitors, too. */
const MOVE_MS = 4_000;
/** A load balancer has noticed that this node stops if it sent no visitor for this long. */
const QUIET_MS = 1_000;

export interface ShutDownOptions {
  readonly drainMs: number;
  /** Takes each step together with other nodes. Default: this node shuts down alone. */
  readonly inStep?: RelayOptions['inStep'];
  /** Ends the waits for visitors without a data connection. */
  readonly signal?: AbortSignal;
}

/** Whether agents can move to another node before this one stops. */
function canMoveAgents({ options, nodes }: Settings): boolean {
  return options.cluster?.sharesPorts !== true && [...nodes.others].length > 0;
}

export async function shutDown(
  parts: Parts,
  settings: Settings,
  { drainMs, inStep, signal }: ShutDownOptions,
): Promise<void> {
  const { log } = settings;
  const { durable, visiting, leasing, chains, control, surface, health } = parts;
  const { gate } = visiting;
  const { hops } = chains;
  health.stop();
  for (const part of [durable, leasing, chains, control]) part.stop();
  const moves = drainMs > 0 && canMoveAgents(settings);
  if (moves) await moveAgents(parts, log);
  const settling = new Settling({
    arrived: arrivedAt(parts),
    quietMs: moves ? MOVE_MS : QUIET_QUEUE_MS,
    inStep,
    signal,
  });
  // Visitors that still wait get no data connection once agents cannot connect.
  if (drainMs > 0) {
    await settling.everywhere();
    await settling.here();
  }
  // The main port closes last: the next process waits for it, and then finds all other ports free.
  for (const part of [leasing, visiting, surface]) part.stopListening();
  // Visitors just routed can still use the idle pool, or another node.
  // Other nodes may still have visitors of these leases.
  if (drainMs > 0) await settling.everywhere();
  // Without other nodes, at once: one that expired ends its leases before another visitor arrives.
  else if (inStep) await inStep();
  surface.stop();
  // Agents whose connections still arrived here find other nodes now.
  if (moves) await until(() => !control.draining, MOVE_MS);
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

function arrivedAt({ surface: { front }, leasing, visiting: { gate } }: Parts): Arrived {
  return {
    accepted: () => front.accepted + leasing.accepted,
    waiting: () => front.unrouted + gate.unsettled,
    isSettled: () => front.oldestUnrouted === undefined && gate.unsettled === 0,
  };
}

/** Lets agents move to other nodes, while this node still accepts visitors, and forwards those of agents that have moved. */
async function moveAgents({ control, visiting }: Parts, log: Logger): Promise<void> {
  visiting.remote.forwardOnly();
  const withinMs = control.drain();
  const { size } = control.sessions;
  if (size > 0) log.info({ sessions: size }, 'moving agents to other nodes');
  await until(() => !control.draining && visiting.gate.quietMs >= QUIET_MS, withinMs + MOVE_MS);
}
