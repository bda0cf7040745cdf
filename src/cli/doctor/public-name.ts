import { request } from 'node:http';
import type { Socket } from 'node:net';
import {
  MAX_CHECKED_BYTES,
  mayReject,
  rejectionOf,
  rejectionUnknown,
  type NameRejection,
} from '../../agent/lease/rejected-name.js';
import type { ServiceSpec } from '../../agent/spec.js';
import { connectTarget, upstreamOf } from '../../agent/target/upstream.js';
import { within } from '../../lib/wait.js';
import { formatTarget, targetHost, type Target } from '../../net/target/target.js';
import type { Subject } from './report.js';

/** Checks whether the target rejects requests for its public name. */

const RESPONSE_MS = 3_000;

interface TargetResponse {
  readonly status: number;
  readonly text: string;
  readonly poweredBy: string | undefined;
}

/** `next dev` serves its pages under any name, but rejects requests for their scripts. */
const NEXT = { poweredBy: 'Next.js', path: '/_next/' } as const;

/**
 * Requests each target under its public name. If the response may be a rejection, requests it again under its own
 * name.
 */
export async function checkName(spec: ServiceSpec, hostname: string, subject: Subject): Promise<void> {
  for (const { target, host = spec.host } of routesOf(spec)) {
    if (host !== undefined && host !== 'visitor') continue;
    const response = await ask(spec, target, hostname);
    if (!response) continue;
    const known =
      rejectionOf({ ...response, method: 'GET', target: '/' }, hostname) ??
      (response.poweredBy === NEXT.poweredBy
        ? await rejectionBelow(NEXT.path, spec, target, hostname)
        : undefined);
    const isSuspect = mayReject(response.status, response.text.length) && response.status !== 200;
    const own = known || !isSuspect ? undefined : await ask(spec, target, targetHost(target));
    const rejection =
      known ??
      (own && own.status !== response.status ? rejectionUnknown(response.status, hostname) : undefined);
    if (rejection)
      subject.warning('service.name', `${formatTarget(target)}: ${rejection.message}`, rejection.hint);
  }
}

/** Requests a resource like a page under the public name does. */
async function rejectionBelow(
  path: string,
  spec: ServiceSpec,
  target: Target,
  hostname: string,
): Promise<NameRejection | undefined> {
  const response = await ask(spec, target, hostname, { path, headers: { Origin: `https://${hostname}` } });
  return response && rejectionOf({ ...response, method: 'GET', target: path }, hostname);
}

function routesOf({
  routes,
  target,
}: ServiceSpec): readonly { readonly target: Target; readonly host?: string }[] {
  return routes.length > 0 ? routes : [{ target }];
}

interface Asked {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Undefined if the target does not respond in HTTP/1.1 in time; another check reports that. */
async function ask(
  spec: ServiceSpec,
  target: Target,
  host: string,
  asked: Asked = {},
): Promise<TargetResponse | undefined> {
  const over = new AbortController();
  try {
    return await within(
      get(spec, target, host, asked, over.signal),
      RESPONSE_MS,
      'the response of the target',
    );
  } catch {
    return undefined;
  } finally {
    over.abort();
  }
}

async function get(
  spec: ServiceSpec,
  target: Target,
  host: string,
  { path = '/', headers }: Asked,
  signal: AbortSignal,
): Promise<TargetResponse> {
  const socket: Socket = await connectTarget(target, upstreamOf(spec), signal);
  signal.addEventListener('abort', () => socket.destroy(), { once: true });
  return new Promise((resolve, reject) => {
    const outgoing = request({
      createConnection: () => socket,
      path,
      headers: {
        ...headers,
        Host: host,
        'User-Agent': 'portal-doctor',
        Accept: 'text/html, */*',
        Connection: 'close',
      },
    });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      let text = '';
      const poweredBy = [response.headers['x-powered-by']].flat()[0];
      const done = (): void => resolve({ status: response.statusCode ?? 0, text, poweredBy });
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        if (text.length >= MAX_CHECKED_BYTES) done();
      });
      response.once('close', done);
    });
    outgoing.end();
  });
}
