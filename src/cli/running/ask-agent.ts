import type { Desired } from '../../config/desired.js';
import { PortalError } from '../../lib/errors.js';
import type { Context } from '../context.js';
import { controlPlace } from '../control/address.js';
import { ControlClient } from '../control/client.js';
import { agentKey } from './agent-key.js';

/** Asks the agent that runs for the file, which knows more than the file does. Undefined if no agent is running. */
export async function askAgent<T>(
  { paths }: Pick<Context, 'paths'>,
  { file }: Pick<Desired, 'file'>,
  ask: (agent: ControlClient) => Promise<T>,
): Promise<T | undefined> {
  if (file === undefined) return undefined;
  const address = controlPlace(paths.runDir).address(await agentKey(file));
  try {
    return await ask(new ControlClient(address));
  } catch (error) {
    if (error instanceof PortalError && error.code === 'not_running') return undefined;
    throw error;
  }
}
