import { connect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';

/** A visitor's connection to a lane: TCP to a port, or TLS under a hostname. It may be half open. */
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

/** What a connection broke with, in a word. */
export const reasonOf = (error) => error.code ?? error.message;
