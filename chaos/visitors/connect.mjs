import { connect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';

/** A visitor's connection to a lane: TCP to a port, or TLS with a hostname. It may be half open. */
export function connectTo({ address, port, hostname, ca }) {
  if (hostname === undefined) return connect({ host: address, port, allowHalfOpen: true, noDelay: true });
  return tlsConnect({
    host: address,
    port,
    servername: hostname,
    ca,
    ALPNProtocols: ['http/1.1'],
    allowHalfOpen: true,
  });
}

/** The error that broke a connection, as one word. */
export const reasonOf = (error) => error.code ?? error.message;
