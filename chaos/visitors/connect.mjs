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

/** The error that broke a connection, in few words. Node gives every TLS alert the code EPROTO; RFC 8446 §6 has the numbers. */
export function reasonOf({ code, message }) {
  const [, alert] = /alert number (\d+)/.exec(message) ?? [];
  const reason = code ?? message;
  return alert === undefined ? reason : `${reason}, alert ${alert}`;
}

/**
 * Fills in what is known of a visitor's connection: its own `port`, `joinedAt` when TLS was established, and `issuer`, the
 * fingerprint of the CA of the certificate, which tells whose agent the visitor reached. Without TLS, see readService.
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

/**
 * Passes what the service sends to `onBytes`. A service of a `named` lane says its agent's name first, in a line, which becomes
 * `join.agent`.
 */
export function readService(socket, { named = false }, join, onBytes) {
  let isNamed = !named;
  let name = '';
  socket.on('data', (chunk) => {
    if (isNamed) return onBytes(chunk);
    const end = chunk.indexOf('\n');
    name += chunk.toString('latin1', 0, end === -1 ? chunk.length : end);
    if (end === -1) return undefined;
    isNamed = true;
    Object.assign(join, { agent: name, joinedAt: now() });
    return end + 1 < chunk.length ? onBytes(chunk.subarray(end + 1)) : undefined;
  });
}
