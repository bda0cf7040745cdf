import { isLoopback, bypassesProxy } from './no-proxy.js';
import { parseProxy, type ProxyServer } from './server.js';

/**
 * Reads `https_proxy`, then `HTTPS_PROXY`, `all_proxy` and `ALL_PROXY`. Hosts in `no_proxy` or `NO_PROXY`, and this
 * machine, have no proxy. An empty variable counts as unset.
 */
export function proxyIn(env: NodeJS.ProcessEnv, url: string): ProxyServer | undefined {
  const { protocol, hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const scheme = protocol.slice(0, -1);
  const set = either(env, `${scheme}_proxy`) ?? either(env, 'all_proxy');
  if (!set || isLoopback(host)) return undefined;
  const noProxy = either(env, 'no_proxy')?.value ?? '';
  if (bypassesProxy(noProxy, host, Number(port || (scheme === 'http' ? 80 : 443)))) return undefined;
  return parseProxy(set.value, set.name);
}

function either(env: NodeJS.ProcessEnv, lower: string): { name: string; value: string } | undefined {
  for (const name of [lower, lower.toUpperCase()]) {
    const value = env[name]?.trim();
    if (value) return { name, value };
  }
  return undefined;
}
