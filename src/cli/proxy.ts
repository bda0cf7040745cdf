import { proxyIn } from '../net/proxy/environment.js';
import type { ProxyServer } from '../net/proxy/server.js';

/** The proxy that the environment of this process sets for `url`. Throws `proxy_invalid`. */
export function proxyFor(url: string): ProxyServer | undefined {
  return proxyIn(process.env, url);
}
