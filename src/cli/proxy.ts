import type { RelaySpec } from '../agent/spec.js';
import type { Desired } from '../config/desired.js';
import { isLoopback, bypassesProxy } from '../net/proxy/no-proxy.js';
import { parseProxy, type ProxyServer } from '../net/proxy/server.js';

/** The proxy that this process's environment wants for `url`. Throws `proxy_invalid`. */
export function proxyFor(url: string): ProxyServer | undefined {
  return proxyIn(process.env, url);
}

/**
 * `https_proxy`, else `HTTPS_PROXY`, else `all_proxy`, else `ALL_PROXY`; none for hosts that `no_proxy`, else `NO_PROXY`
 * names, and none for this machine. A variable that is empty counts as unset.
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

/** Before anything starts: a variable that is malformed is for the person to mend. Throws `proxy_invalid`. */
export function checkProxies({ relays, services, candidates }: Desired): void {
  const all = [...relays, ...services.flatMap((service) => service.relays)].flatMap(reached);
  if (candidates?.registry?.startsWith('https:')) all.push(candidates.registry);
  for (const url of all) proxyFor(url);
}

/** What of a relay is connected to from here. */
function reached(relay: RelaySpec): string[] {
  if (relay.kind === 'embedded') return [];
  // What is in front of a chain's last relay is reached through it.
  return [relay.kind === 'url' ? relay.url : relay.hops.at(-1)!.url];
}
