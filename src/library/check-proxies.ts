import type { RelaySpec } from '../agent/spec.js';
import type { Desired } from '../config/desired.js';
import { proxyIn } from '../net/proxy/environment.js';

/** Checks the variables before anything starts. Throws `proxy_invalid` if one is malformed. */
export function checkProxies({ relays, services, candidates }: Desired, env: NodeJS.ProcessEnv): void {
  const all = [...relays, ...services.flatMap((service) => service.relays)].flatMap(reached);
  if (candidates?.registry?.startsWith('https:')) all.push(candidates.registry);
  for (const url of all) proxyIn(env, url);
}

/** The URLs of a relay that this machine connects to. */
function reached(relay: RelaySpec): string[] {
  if (relay.kind === 'embedded') return [];
  // The last relay of a chain connects to the others.
  return [relay.kind === 'url' ? relay.url : relay.hops.at(-1)!.url];
}
