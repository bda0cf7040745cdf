import { openThrough } from '../net/proxy/open.js';
import type { ProxyServer } from '../net/proxy/server.js';
import { TCP, type Detour } from './relay-way.js';

/** A detour through the proxy of the network. */
export function proxied(proxy: ProxyServer): Detour {
  return {
    hides: false,
    open: (host, port, ms, signal) => openThrough(proxy, { host, port, ms, signal, tcp: TCP }),
  };
}
