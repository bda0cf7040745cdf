import { findConfig } from '../config/find.js';
import { PortalError } from '../lib/errors.js';
import type { Context } from './context.js';
import { controlPlace } from './control/address.js';
import { answers } from './control/claim.js';
import { ControlClient } from './control/client.js';
import { agentKey } from './load.js';

/**
 * The agent of the configuration file; where there is no file, the only agent that runs (`portal expose`
 * has none). Whether it runs shows at the first call.
 */
export async function findAgent(context: Context, file: string | undefined): Promise<ControlClient> {
  const place = controlPlace(context.paths.runDir);
  let found;
  try {
    found = await findConfig({ file, cwd: context.cwd, env: context.env });
  } catch (error) {
    if (error instanceof PortalError && error.code === 'config_not_found')
      return onlyAgent(await place.list());
    throw error;
  }
  if (found.kind === 'file') return new ControlClient(place.address(await agentKey(found.path)));
  throw new PortalError('usage', 'a running agent is found by its file, and standard input is none', {
    hint: 'Name the file that it was started with: -f FILE.',
  });
}

async function onlyAgent(sockets: readonly string[]): Promise<ControlClient> {
  const alive = await Promise.all(sockets.map(answers));
  const [only, another] = sockets.filter((_, index) => alive[index]);
  if (only !== undefined && another === undefined) return new ControlClient(only);
  if (only === undefined)
    throw new PortalError('not_running', 'no agent runs, and there is no portal.yaml here or above', {
      hint: 'Write one with `portal init`, or publish a service without one: portal expose 3000',
    });
  throw new PortalError('usage', 'several agents run, and there is no portal.yaml here or above', {
    hint: 'Name the file of the one you mean: -f FILE.',
  });
}
