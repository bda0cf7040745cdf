import type { Desired } from '../config/desired.js';
import { PortalError } from '../lib/errors.js';

/** Why a running agent cannot switch to `wanted`. Undefined if it can. Every lease belongs to an identity. */
export function restartRequired(running: Desired, wanted: Desired): PortalError | undefined {
  if (wanted.identityFile === running.identityFile) return undefined;
  return new PortalError('restart_required', 'the identity cannot change while the agent runs', {
    hint: 'Stop it with `portal down` and start it again with `portal up`.',
  });
}
