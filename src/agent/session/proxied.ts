import { openThrough } from '../../net/proxy/open.js';
import type { ProxyServer } from '../../net/proxy/server.js';
import { TCP, type Tunnel } from './relay-endpoint.js';

/** A tunnel through the network's proxy. */
export function proxied(proxy: ProxyServer): Tunnel {
  return {
    hides: false,
    open: (host, port, ms, signal) => openThrough(proxy, { host, port, ms, signal, tcp: TCP }),
  };
}
