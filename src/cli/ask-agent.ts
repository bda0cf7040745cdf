import type { Desired } from '../config/desired.js';
import { PortalError } from '../lib/errors.js';
import type { Survey } from '../reconcile/candidates/survey.js';
import type { Context } from './context.js';
import { controlPlace } from './control/address.js';
import { ControlClient } from './control/client.js';
import { agentKey } from './load.js';

/** Gets the relays from the agent that runs for the file, which knows more than a survey; undefined if no agent is running. */
export async function askAgent(context: Context, desired: Desired): Promise<Survey | undefined> {
  if (desired.file === undefined) return undefined;
  const address = controlPlace(context.paths.runDir).address(await agentKey(desired.file));
  try {
    return await new ControlClient(address).relays();
  } catch (error) {
    if (error instanceof PortalError && error.code === 'not_running') return undefined;
    throw error;
  }
}
