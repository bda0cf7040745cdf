import { EventEmitter } from 'node:events';
import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { asPortalError, PortalError, systemCode } from '../lib/errors.js';
import { within } from '../lib/wait.js';
import { TCP, type Detour } from './relay-way.js';

/** The HTTP proxy that the network wants (`CONNECT`). Its URL may carry a user name and a password. */
export function httpProxy(url: string): Detour {
  return { hides: false, open: (host, port, ms, signal) => tunnel({ host, port }, url, ms, signal) };
}

async function tunnel(
  { host, port }: { host: string; port: number },
  proxy: string,
  ms: number,
  signal?: AbortSignal,
): Promise<Socket> {
  const { host: proxyName } = new URL(proxy);
  const connecting = new AbortController();
  const agent = new HttpsProxyAgent(proxy, { ...TCP, signal: connecting.signal });
  let status = 0;
  agent.once('proxyConnect', ({ statusCode }) => (status = statusCode));
  // The agent wants to tell a request of its answer; nothing of ours begins before the tunnel stands.
  const request = new EventEmitter() as ClientRequest;
  const opening = agent.connect(request, { host, port, secureEndpoint: false });
  try {
    const socket = await within(opening, ms, `the proxy ${proxyName}`, signal);
    socket.on('error', () => undefined);
    if (status !== 200) {
      socket.destroy();
      throw new PortalError('proxy_refused', `the proxy ${proxyName} refused ${host}:${port} (${status})`);
    }
    // It was read by hand so far, and would tell no listener of anything.
    setImmediate(() => socket.resume());
    return socket;
  } catch (error) {
    connecting.abort();
    opening.catch(() => undefined);
    if (error instanceof PortalError) throw error;
    const reason = systemCode(error) ?? asPortalError(error).message;
    throw new PortalError('relay_unreachable', `the proxy ${proxyName} cannot be reached: ${reason}`, {
      cause: error,
    });
  }
}
