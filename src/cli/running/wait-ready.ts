import { PortalError } from '../../lib/errors.js';
import { delay } from '../../lib/wait.js';
import type { Readiness } from '../../reconcile/events.js';
import type { Context, ExitCode } from '../context.js';
import { findAgent, type AgentSelector } from './find-agent.js';
import { columns } from '../text/columns.js';
import { printEvent } from '../print.js';
import { describeError } from '../reporters/describe.js';

/** `portal status --wait-ready`: for scripts, and for health checks of containers. */

const POLL_MS = 200;
/** Timeout of the last poll, or of the only one with `--timeout 0`. */
const LAST_RESPONSE_MS = 2_000;

interface Options {
  readonly file?: string;
  readonly pid?: number;
  readonly timeout: number;
  /** Waits until every target is reachable as well. */
  readonly targets?: true;
}

/** Prints the addresses once all services are ready. Throws `not_running` or `timeout` after the timeout. */
export async function printWhenReady(context: Context, options: Options): Promise<ExitCode> {
  const { services } = await waitReady(context, options);
  if (context.json) printEvent(context, 'ready', { services });
  else
    for (const line of columns(
      Object.entries(services).map(([service, { urls, tcp, udp }]) => [
        service,
        [...urls, ...tcp, ...udp].join(', '),
      ]),
    ))
      context.stdout.data(line);
  return 0;
}

async function waitReady(context: Context, { file, pid, timeout, targets }: Options): Promise<Readiness> {
  const until = performance.now() + timeout;
  for (;;) {
    const readiness = await poll(
      context,
      { file, pid },
      Math.ceil(Math.max(LAST_RESPONSE_MS, until - performance.now())),
    );
    const isReady = !(readiness instanceof PortalError) && readiness.ready;
    const down = isReady && targets ? await targetsDown(context, { file, pid }) : [];
    if (isReady && down.length === 0) return readiness;
    const leftMs = until - performance.now();
    if (leftMs <= 0) {
      if (isReady) throw timedOut(`target down: ${down.join(', ')}`, timeout);
      throw readiness instanceof PortalError ? readiness : notReady(readiness, timeout);
    }
    await delay(Math.min(POLL_MS, leftMs));
  }
}

/** The services whose target is unreachable, and why. The agent checks them now. */
async function targetsDown(context: Context, which: AgentSelector): Promise<string[]> {
  const { leases } = await (await findAgent(context, which)).status();
  const down = leases.flatMap(({ service, targetError }) =>
    targetError === undefined ? [] : [`${service} (${targetError})`],
  );
  return [...new Set(down)];
}

/** Returns `not_running` as a value, because the agent may still start. */
async function poll(
  context: Context,
  which: AgentSelector,
  timeoutMs: number,
): Promise<Readiness | PortalError> {
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
  return timedOut(what, timeoutMs);
}

const timedOut = (what: string, timeoutMs: number): PortalError =>
  new PortalError('timeout', timeoutMs > 0 ? `${what}, after ${timeoutMs / 1000} s` : what, {
    hint: 'Look at `portal status` and `portal logs`.',
  });
