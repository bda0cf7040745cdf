import type { RelaySpec } from '../agent/spec.js';
import type { Desired } from '../config/desired.js';
import { proxyIn } from '../net/proxy/environment.js';
import type { ProxyServer } from '../net/proxy/server.js';

/** The proxy that the environment of this process sets for `url`. Throws `proxy_invalid`. */
export function proxyFor(url: string): ProxyServer | undefined {
  return proxyIn(process.env, url);
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
