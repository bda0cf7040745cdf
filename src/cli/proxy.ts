import type { RelaySpec } from '../agent/spec.js';
import type { Desired } from '../config/desired.js';
import { isLoopback, bypassesProxy } from '../net/proxy/no-proxy.js';
import { parseProxy, type ProxyServer } from '../net/proxy/server.js';

/** The proxy that the environment of this process sets for `url`. Throws `proxy_invalid`. */
export function proxyFor(url: string): ProxyServer | undefined {
  return proxyIn(process.env, url);
}

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

/** Checks the variables before anything starts. Throws `proxy_invalid` if one is malformed. */
export function checkProxies({ relays, services, candidates }: Desired): void {
  const all = [...relays, ...services.flatMap((service) => service.relays)].flatMap(reached);
  if (candidates?.registry?.startsWith('https:')) all.push(candidates.registry);
  for (const url of all) proxyFor(url);
}

/** The URLs of a relay that this machine connects to. */
function reached(relay: RelaySpec): string[] {
  if (relay.kind === 'embedded') return [];
  // The last relay of a chain connects to the others.
  return [relay.kind === 'url' ? relay.url : relay.hops.at(-1)!.url];
}
