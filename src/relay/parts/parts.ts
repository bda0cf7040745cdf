import type { AgentsSurface } from '../agents/surface.js';
import type { Turns } from '../protection/turns.js';
import type { Access } from './access.js';
import type { Chains } from './chains.js';
import type { Control } from './control.js';
import type { Health } from './health.js';
import type { Leasing } from './leasing.js';
import type { DurableState } from './durable-state.js';
import type { Surface } from './surface.js';
import type { Visiting } from './visiting.js';

/**
 * The parts of a relay. `start` opens what a part needs, `stop` ends its own activity, `stopListening` closes its ports, and
 * `close` ends the rest. `shutDown` calls them in order.
 */
export interface Parts {
  readonly access: Access;
  readonly durable: DurableState;
  readonly visiting: Visiting;
  readonly leasing: Leasing;
  readonly chains: Chains;
  readonly control: Control;
  readonly agents: AgentsSurface;
  readonly surface: Surface;
  readonly health: Health;
  readonly turns: Turns;
  readonly capabilities: readonly string[];
}
