import { connect } from 'node:net';
import { createSecureContext, connect as tlsConnect } from 'node:tls';
import { now } from '../lib/now.mjs';

/** By CA: reading certificates again for each visit takes longer than the visit. */
const contexts = new Map();

export function contextOf(ca) {
  const key = String(ca);
  if (!contexts.has(key)) contexts.set(key, createSecureContext({ ca }));
  return contexts.get(key);
}

/** A visitor's connection to a lane: TCP to a port, or TLS with a hostname. It may be half open. */
export function connectTo({ address, port, hostname, ca }) {
  if (hostname === undefined) return connect({ host: address, port, allowHalfOpen: true, noDelay: true });
  return tlsConnect({
    host: address,
    port,
    servername: hostname,
    secureContext: contextOf(ca),
    ALPNProtocols: ['http/1.1'],
    allowHalfOpen: true,
  });
}

/** The error that broke a connection, as one word. */
export const reasonOf = (error) => error.code ?? error.message;

/**
 * Fills in what is known of a visitor's connection: its own `port`, `joinedAt` when TLS was established, and `issuer`, the
 * fingerprint of the CA of the certificate, which tells whose agent the visitor reached.
 */
export function joinOf(socket) {
  const join = {};
  socket.once('connect', () => (join.port = socket.localPort));
  socket.once('secureConnect', () => {
    join.joinedAt = now();
    join.issuer = socket.getPeerCertificate(true).issuerCertificate?.fingerprint256;
  });
  return join;
}
