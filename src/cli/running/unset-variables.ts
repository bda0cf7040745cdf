import type { Problem } from '../../config/text/problem.js';
import type { ConfigInvalid } from '../../library/config-invalid.js';
import type { AgentStatus } from '../../reconcile/events.js';
import { agentFor } from './ask-agent.js';
import type { Context } from '../context.js';

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
  context: Pick<Context, 'paths'>,
  { file, problems }: ConfigInvalid,
): Promise<readonly Problem[]> {
  if (file === undefined || !problems.every(({ variable }) => variable !== undefined)) return problems;
  const status = await statusOf(context, file);
  if (variablesOfAgent(status, problems).length === 0) return problems;
  return problems.map((problem) => ({
    ...problem,
    hint: `The running agent has ${problem.variable}, and this shell does not. ${writeToDotenv([''])}`,
  }));
}

async function statusOf(context: Pick<Context, 'paths'>, file: string): Promise<AgentStatus | undefined> {
  try {
    const agent = await agentFor(context, file, { timeoutMs: RESPONSE_MS });
    return await agent.status();
  } catch {
    return undefined;
  }
}
