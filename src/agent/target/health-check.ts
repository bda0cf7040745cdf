import { request } from 'node:http';
import type { Socket } from 'node:net';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { failureReason } from '../../lib/failure-reason.js';
import { within } from '../../lib/wait.js';
import { formatTarget, targetHost, type Target } from '../../net/target/target.js';
import type { HealthSpec, ServiceSpec } from '../spec.js';
import { connectTarget, upstreamOf } from './upstream.js';

/** A local service that responds with this status or higher is unhealthy. */
const UNHEALTHY = 500;

/**
 * Checks the target of `spec` as `health` configures. Resolves with the reason if it is unhealthy, and undefined if it is
 * healthy. Limited by `timeoutMs`, cancelled by `signal`.
 */
export async function checkHealth(spec: ServiceSpec, signal: AbortSignal): Promise<string | undefined> {
  const { health, target } = spec;
  if (!health) return undefined;
  // Everything that the check opens ends with it.
  const ending = new AbortController();
  try {
    await within(ask(spec, health, ending.signal), health.timeoutMs, asked(target, health), signal);
    return undefined;
  } catch (error) {
    return asPortalError(error).message;
  } finally {
    ending.abort();
  }
}

async function ask(spec: ServiceSpec, { path }: HealthSpec, signal: AbortSignal): Promise<void> {
  const socket = await connectTarget(spec.target, upstreamOf(spec), signal);
  if (signal.aborted || path === undefined) return void socket.destroy();
  signal.addEventListener('abort', () => socket.destroy(), { once: true });
  const status = await get(socket, spec.target, path);
  if (status >= UNHEALTHY)
    throw new PortalError('target_down', `${asked(spec.target, { path })} returned ${status}`);
}

/** The status of the response to a GET. */
function get(socket: Socket, target: Target, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asking = request({
      createConnection: () => socket,
      path,
      headers: { Host: targetHost(target), 'User-Agent': 'portal', Accept: '*/*', Connection: 'close' },
    });
    asking.once('response', (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    asking.once('error', (error) => {
      reject(new PortalError('target_down', `${asked(target, { path })} failed: ${failureReason(error)}`));
    });
    asking.end();
  });
}

const asked = (target: Target, { path }: Pick<HealthSpec, 'path'>): string =>
  path === undefined ? `a connection to ${formatTarget(target)}` : `GET ${path} at ${formatTarget(target)}`;
