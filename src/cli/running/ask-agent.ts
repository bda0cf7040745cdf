import type { Desired } from '../../config/desired.js';
import { PortalError } from '../../lib/errors.js';
import type { Context } from '../context.js';
import { controlPlace } from '../control/address.js';
import { ControlClient, type ControlOptions } from '../control/client.js';
import { agentKey } from './agent-key.js';

/** A client of the agent that runs for `file`, an absolute path. Its calls throw `not_running` if none does. */
export async function agentFor(
  { paths }: Pick<Context, 'paths'>,
  file: string,
  options?: ControlOptions,
): Promise<ControlClient> {
  return new ControlClient(controlPlace(paths.runDir).address(await agentKey(file)), options);
}

/** Asks the agent that runs for the file, which knows more than the file does. Undefined if no agent is running. */
export async function askAgent<T>(
  context: Pick<Context, 'paths'>,
  { file }: Pick<Desired, 'file'>,
  ask: (agent: ControlClient) => Promise<T>,
): Promise<T | undefined> {
  if (file === undefined) return undefined;
  try {
    return await ask(await agentFor(context, file));
  } catch (error) {
    if (error instanceof PortalError && error.code === 'not_running') return undefined;
    throw error;
  }
}
