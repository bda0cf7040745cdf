import { PortalError } from '../../lib/errors.js';
import { delay } from '../../lib/wait.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import type { ControlClient } from '../control/client.js';
import { findAgent } from '../find-agent.js';
import { printEvent } from '../print.js';

interface Options {
  readonly file?: string;
  readonly pid?: number;
}

/** The drain (10 s) and what comes after it. */
const STOP_TIMEOUT_MS = 15_000;
/** Between closing its socket and being gone, an agent has only its exit to do. */
const EXIT_WAIT_MS = 300;

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const agent = await findAgent(context, options, { tellsOthers: true });
  const timeout = AbortSignal.timeout(STOP_TIMEOUT_MS);
  // Followed before the stop is asked for: its end is the agent's end.
  const ended = followToEnd(agent, timeout);
  const { pid } = await agent.stop();
  await ended;
  if (timeout.aborted) {
    throw new PortalError(
      'timeout',
      `the agent (pid ${pid}) did not stop within ${STOP_TIMEOUT_MS / 1000} s`,
      {
        hint: `\`portal logs\` may say what it waits for; \`kill ${pid}\` a second time ends it at once.`,
      },
    );
  }
  await processGone(pid);
  if (context.json) printEvent(context, 'stopped', { reason: 'down', pid });
  else context.stderr.note(`stopped (pid ${pid})`);
  return 0;
}

async function followToEnd(agent: ControlClient, signal: AbortSignal): Promise<void> {
  try {
    for await (const _ of agent.logs({ follow: true, signal }));
  } catch {
    // However it ended, it ended; stop() tells why when no agent was there in the first place.
  }
}

/** Waits a moment for the process itself; one that no parent collects stays visible, so this decides nothing. */
async function processGone(pid: number): Promise<void> {
  const until = performance.now() + EXIT_WAIT_MS;
  while (performance.now() < until && isAlive(pid)) await delay(10);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
