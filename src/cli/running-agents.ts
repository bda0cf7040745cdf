import type { AgentStatus } from '../reconcile/events.js';
import type { ControlPlace } from './control/address.js';
import { answers } from './control/claim.js';
import { ControlClient, readPid } from './control/client.js';
import { columns } from './print.js';
import { publicAddress } from './reporters/describe.js';
import { printable } from './style.js';

/** An agent asks its relays and services before it answers; one that is slow is listed without them. */
const ANSWER_MS = 3_000;

export interface RunningAgent {
  readonly socket: string;
  /** Undefined where it does not answer, and nothing beside its socket says so. */
  readonly pid: number | undefined;
  readonly status: AgentStatus | undefined;
}

/** Every agent of this user that runs. */
export async function runningAgents(place: ControlPlace): Promise<RunningAgent[]> {
  const agents = (await place.list()).map(async (socket) => {
    if (!(await answers(socket))) return undefined;
    const status = await new ControlClient(socket, ANSWER_MS).status().catch(() => undefined);
    return { socket, pid: status?.pid ?? readPid(socket), status };
  });
  return (await Promise.all(agents)).filter((agent) => agent !== undefined);
}

/** How to choose one of them: what each publishes, and where. */
export function choiceOf(agents: readonly RunningAgent[], choose = 'Choose one with --pid PID:'): string {
  const rows = columns([...agents].map(({ pid, status }) => [String(pid ?? '?'), ...describe(status)]));
  return [choose, ...rows].join('\n    ');
}

function describe(status: AgentStatus | undefined): string[] {
  if (!status) return ['does not answer', ''];
  const { file, leases } = status;
  const targets = leases.map(({ target }) => target);
  const addresses = leases.map(publicAddress).filter((address) => address !== undefined);
  return [printable(file ?? listOf(targets)), listOf(addresses)];
}

/** The first, and how many more. */
function listOf(texts: readonly string[]): string {
  const [first = '', ...more] = new Set(texts);
  return more.length === 0 ? first : `${first} and ${more.length} more`;
}
