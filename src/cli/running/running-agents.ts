import type { AgentStatus } from '../../reconcile/events.js';
import type { ControlPlace } from '../control/address.js';
import { isListening } from '../control/claim.js';
import { ControlClient, readPid } from '../control/client.js';
import { columns } from '../text/columns.js';
import { publicAddress } from '../reporters/describe.js';
import { printable } from '../text/style.js';

/** An agent checks its relays and services before it responds. A slow agent is listed without details. */
const RESPONSE_MS = 3_000;

export interface RunningAgent {
  readonly socket: string;
  /** Undefined if the agent does not respond, and its socket has no pid file. */
  readonly pid: number | undefined;
  readonly status: AgentStatus | undefined;
}

/** Every running agent of this user. */
export async function runningAgents(place: ControlPlace): Promise<RunningAgent[]> {
  const agents = (await place.list()).map(async (socket) => {
    if (!(await isListening(socket))) return undefined;
    const status = await new ControlClient(socket, { timeoutMs: RESPONSE_MS })
      .status()
      .catch(() => undefined);
    return { socket, pid: status?.pid ?? readPid(socket), status };
  });
  return (await Promise.all(agents)).filter((agent) => agent !== undefined);
}

/** A hint that lists the agents and what each publishes. */
export function choiceOf(agents: readonly RunningAgent[], choose = 'Choose one with --pid PID:'): string {
  const rows = columns([...agents].map(({ pid, status }) => [String(pid ?? '?'), ...describe(status)]));
  return [choose, ...rows].join('\n    ');
}

function describe(status: AgentStatus | undefined): string[] {
  if (!status) return ['does not respond', ''];
  const { file, leases } = status;
  const targets = leases.map(({ target }) => target);
  const addresses = leases.map(publicAddress).filter((address) => address !== undefined);
  return [printable(file ?? listOf(targets)), listOf(addresses)];
}

/** The first text, and the number of others. */
function listOf(texts: readonly string[]): string {
  const [first = '', ...more] = new Set(texts);
  return more.length === 0 ? first : `${first} and ${more.length} more`;
}
