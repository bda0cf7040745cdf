import { WebSocketServer, type ServerOptions } from 'ws';
import { LIMITS } from '../../protocol/limits.js';

/** Upgrades to WebSockets of one subprotocol. */
export function upgrades(subprotocol: string, options: ServerOptions): WebSocketServer {
  // The types of `ws` lack `closeTimeout`.
  const common = { noServer: true, perMessageDeflate: false, closeTimeout: LIMITS.closeMs };
  return new WebSocketServer({
    ...common,
    ...options,
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
  });
}
