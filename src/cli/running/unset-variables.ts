import type { Problem } from '../../config/text/problem.js';
import type { ConfigInvalid } from '../../library/config-invalid.js';
import type { AgentStatus } from '../../reconcile/events.js';
import { agentKey } from './agent-key.js';
import type { Context } from '../context.js';
import { controlPlace } from '../control/address.js';
import { ControlClient } from '../control/client.js';

/** Variables that are set where the agent was started, and not in this shell. */

/** An error message must not wait long for an agent. */
const RESPONSE_MS = 2_000;

/**
 * The variables that only the running agent has. Empty if the agent does not run the file, or if the file has other
 * problems.
 */
export function variablesOfAgent(
  status: Pick<AgentStatus, 'rejected'> | undefined,
  problems: readonly Problem[],
): string[] {
  if (status?.rejected.length !== 0) return [];
  const names = problems.map(({ variable }) => variable);
  return names.every((name) => name !== undefined) ? [...new Set(names)] : [];
}

export function writeToDotenv({ length }: readonly string[]): string {
  const it = length === 1 ? 'it' : 'them';
  return `Write ${it} to a .env next to the file. Then every command has ${it}.`;
}

/** The problems of `error`, with other hints if only variables are not set that the agent of the file has. */
export async function explainUnset(
  { paths }: Pick<Context, 'paths'>,
  { file, problems }: ConfigInvalid,
): Promise<readonly Problem[]> {
  if (file === undefined || !problems.every(({ variable }) => variable !== undefined)) return problems;
  const status = await statusOf(paths.runDir, file);
  if (variablesOfAgent(status, problems).length === 0) return problems;
  return problems.map((problem) => ({
    ...problem,
    hint: `The running agent has ${problem.variable}, and this shell does not. ${writeToDotenv([''])}`,
  }));
}

async function statusOf(runDir: string, file: string): Promise<AgentStatus | undefined> {
  try {
    const address = controlPlace(runDir).address(await agentKey(file));
    return await new ControlClient(address, { timeoutMs: RESPONSE_MS }).status();
  } catch {
    return undefined;
  }
}
