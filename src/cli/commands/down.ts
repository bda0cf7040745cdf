import { PortalError } from '../../lib/errors.js';
import { delay } from '../../lib/wait.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import type { ControlClient } from '../control/client.js';
import { findAgent } from '../running/find-agent.js';
import { printEvent } from '../print.js';
import { isAlive } from '../../lib/is-alive.js';

interface Options {
  readonly file?: string;
  readonly pid?: number;
}

/** The drain (10 s) and the shutdown after it. */
const STOP_TIMEOUT_MS = 15_000;
/** Who stops an agent need not start one first. */
const NOTHING = 'There is nothing to stop.';
/** How long an agent may take to exit after it closed its socket. */
const EXIT_WAIT_MS = 300;

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const agent = await findAgent(context, options, { listsOthers: true, remedy: NOTHING });
  const timeout = AbortSignal.timeout(STOP_TIMEOUT_MS);
  // Follow the logs before the stop: their end is the end of the agent.
  const ended = followToEnd(agent, timeout);
  const { pid } = await agent.stop().catch((error: unknown) => {
    throw withNothing(error);
  });
  await ended;
  if (timeout.aborted) {
    throw new PortalError(
      'timeout',
      `the agent (pid ${pid}) did not stop within ${STOP_TIMEOUT_MS / 1000} s`,
      {
        hint: `Run \`portal logs\` to see what it waits for. A second \`kill ${pid}\` ends it immediately.`,
      },
    );
  }
  await untilExited(pid);
  if (context.json) printEvent(context, 'stopped', { reason: 'down', pid });
  else context.stderr.note(`stopped (pid ${pid})`);
  return 0;
}

function withNothing(error: unknown): unknown {
  if (!(error instanceof PortalError) || error.code !== 'not_running' || error.hint !== undefined)
    return error;
  return new PortalError('not_running', error.message, { cause: error, hint: NOTHING });
}

async function followToEnd(agent: ControlClient, signal: AbortSignal): Promise<void> {
  try {
    for await (const _ of agent.logs({ follow: true, signal }));
  } catch {
    // Any end counts. If no agent was running, stop() reports it.
  }
}

/** Waits briefly until the process exits. Never fails: a process stays visible until its parent collects it. */
async function untilExited(pid: number): Promise<void> {
  const until = performance.now() + EXIT_WAIT_MS;
  while (performance.now() < until && isAlive(pid)) await delay(10);
}
