import { PortalError } from '../lib/errors.js';
import { delay } from '../lib/wait.js';
import type { Readiness } from '../reconcile/events.js';
import type { Context, ExitCode } from './context.js';
import { findAgent, type WhichAgent } from './find-agent.js';
import { columns, printEvent } from './print.js';
import { describeError } from './reporters/describe.js';

/** `portal status --wait-ready`: for scripts, and for health checks of containers. */

const ASK_EVERY_MS = 200;
/** For the one question of a wait that is over, or of one without a wait. */
const LAST_ANSWER_MS = 2_000;

interface Options {
  readonly file?: string;
  readonly pid?: number;
  readonly timeout: number;
}

/** Prints the addresses once all services are ready. Throws `not_running` or `timeout` when the time is over. */
export async function tellReady(context: Context, options: Options): Promise<ExitCode> {
  const { services } = await waitReady(context, options);
  if (context.json) printEvent(context, 'ready', { services });
  else
    for (const line of columns(
      Object.entries(services).map(([service, { urls, tcp, udp }]) => [
        service,
        [...urls, ...tcp, ...udp].join(', '),
      ]),
    ))
      context.stdout.line(line);
  return 0;
}

async function waitReady(context: Context, { file, pid, timeout }: Options): Promise<Readiness> {
  const until = performance.now() + timeout;
  for (;;) {
    const asked = await ask(
      context,
      { file, pid },
      Math.ceil(Math.max(LAST_ANSWER_MS, until - performance.now())),
    );
    if (!(asked instanceof PortalError) && asked.ready) return asked;
    const leftMs = until - performance.now();
    if (leftMs <= 0) throw asked instanceof PortalError ? asked : notReady(asked, timeout);
    await delay(Math.min(ASK_EVERY_MS, leftMs));
  }
}

/** An agent that does not run yet may come. */
async function ask(context: Context, which: WhichAgent, timeoutMs: number): Promise<Readiness | PortalError> {
  try {
    return await (await findAgent(context, which)).readiness(timeoutMs);
  } catch (error) {
    if (error instanceof PortalError && error.code === 'not_running') return error;
    throw error;
  }
}

function notReady({ waiting }: Readiness, timeoutMs: number): PortalError {
  const services = waiting.map(({ service, phase, error }) => {
    const why = [phase, error && describeError(error)].filter(Boolean).join(': ');
    return why === '' ? service : `${service} (${why})`;
  });
  const what =
    services.length > 0 ? `not ready: ${services.join(', ')}` : 'the agent is starting or stopping';
  return new PortalError('timeout', timeoutMs > 0 ? `${what}, after ${timeoutMs / 1000} s` : what, {
    hint: 'Look at `portal status` and `portal logs`.',
  });
}
