import { findConfig } from '../../config/files/find.js';
import { ERRORS } from '../../lib/error-codes.js';
import { PortalError } from '../../lib/errors.js';
import type { Context } from '../context.js';
import { controlPlace, type ControlPlace } from '../control/address.js';
import { isListening } from '../control/claim.js';
import { ControlClient, NOT_VISIBLE, notRunning } from '../control/client.js';
import { agentKey } from './agent-key.js';
import { hintFor } from './for-file.js';
import { choiceOf, runningAgents, type RunningAgent } from './running-agents.js';

/** The options that choose an agent: at most one is set. */
export interface AgentSelector {
  readonly file?: string | undefined;
  readonly pid?: number | undefined;
}

/**
 * Finds the agent with this process ID, or the agent of the configuration file. Without a file, finds the only running
 * agent, for example of `portal expose`. A missing agent may show only at the first call.
 * @param listsOthers if no agent is running for the file, query the other agents and list them in the error
 * @param remedy what to do then; its commands get `-f FILE` where they need it
 */
export async function findAgent(
  context: Context,
  { file, pid }: AgentSelector,
  {
    listsOthers = false,
    remedy = ERRORS.not_running.remedy,
  }: { listsOthers?: boolean; remedy?: string } = {},
): Promise<ControlClient> {
  const place = controlPlace(context.paths.runDir);
  if (pid !== undefined) return agentOfProcess(place, pid);
  let found;
  try {
    found = await findConfig({ file, cwd: context.cwd, env: context.env });
  } catch (error) {
    if (error instanceof PortalError && error.code === 'config_not_found') return onlyAgent(place);
    throw error;
  }
  if (found.kind !== 'file')
    throw new PortalError('usage', 'standard input does not identify an agent', {
      hint: "Name the agent's file: -f FILE.",
    });
  const address = place.address(await agentKey(found.path));
  const start = await hintFor(context, remedy, found.path);
  if (listsOthers && !(await isListening(address))) {
    const others = await runningAgents(place);
    if (others.length > 0)
      throw notRunning(found.path, {
        hint: `${start} ${choiceOf(others, 'To use another agent, choose it with --pid PID:')}`,
      });
  }
  return new ControlClient(address, { file: found.path, hint: `${start} ${NOT_VISIBLE}` });
}

/** All running agents if there are several and no file chooses one; else empty. */
export async function severalAgents(
  context: Context,
  { file }: Pick<AgentSelector, 'file'>,
): Promise<RunningAgent[]> {
  try {
    await findConfig({ file, cwd: context.cwd, env: context.env });
    return [];
  } catch (error) {
    if (!(error instanceof PortalError && error.code === 'config_not_found')) throw error;
  }
  const agents = await runningAgents(controlPlace(context.paths.runDir));
  return agents.length > 1 ? agents : [];
}

async function agentOfProcess(place: ControlPlace, pid: number): Promise<ControlClient> {
  const agents = await runningAgents(place);
  const found = agents.find((agent) => agent.pid === pid);
  if (found) return new ControlClient(found.socket);
  throw new PortalError('not_running', `process ${pid} is not a portal agent`, {
    hint: agents.length > 0 ? choiceOf(agents) : 'Start one with `portal up`.',
  });
}

async function onlyAgent(place: ControlPlace): Promise<ControlClient> {
  const sockets = await place.list();
  const alive = await Promise.all(sockets.map(isListening));
  const [only, another] = sockets.filter((_, index) => alive[index]);
  if (only === undefined)
    throw new PortalError('not_running', 'no agent is running, and there is no portal.yaml here or above', {
      hint: `Start it in the folder of its portal.yaml with \`portal up\`. To create a portal.yaml, run \`portal init\`. ${NOT_VISIBLE}`,
    });
  if (another === undefined) return new ControlClient(only);
  throw new PortalError('usage', 'several agents are running, and there is no portal.yaml here or above', {
    hint: choiceOf(await runningAgents(place)),
  });
}
