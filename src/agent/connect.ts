import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { WebSocket, type ClientOptions } from 'ws';
import type { Identity } from '../identity/identity.js';
import { asPortalError, ERRORS, PortalError, systemCode } from '../lib/errors.js';
import { within } from '../lib/wait.js';
import { checkChallenge, STATEMENTS } from '../protocol/challenge.js';
import { decodeFromRelay, encode } from '../protocol/decode.js';
import { CONTROL_SUBPROTOCOL, LIMITS, PATHS, PROTOCOL_VERSION } from '../protocol/limits.js';
import type { FromAgent } from '../protocol/messages.js';
import { verifyRelay } from '../protocol/relay-proof.js';
import { creating, relayTls, wayTo, type RelayEndpoint } from './relay-way.js';
import { ControlChannel, describeClose, relayError, type Welcome } from './control.js';

export interface ControlOptions {
  readonly endpoint: RelayEndpoint;
  readonly identity: Identity;
  /** Which agent process this is, the same over all its reconnects. */
  readonly instance: string;
  readonly version: string;
  readonly signal: AbortSignal;
}

/**
 * Connects, proves the identity, and resolves with the channel once the relay said `welcome`, proved its own key and
 * was found to be the one that is trusted. Throws `relay_untrusted` where it is not.
 */
export async function openControl(options: ControlOptions): Promise<ControlChannel> {
  const { endpoint, signal } = options;
  const url = new URL(PATHS.control, endpoint.url);
  url.protocol = 'wss:';
  const nonce = randomBytes(16).toString('hex');
  let socket: TLSSocket | undefined;
  const over = new AbortController();
  // `closeTimeout` is not in the types of `ws` yet.
  const wsOptions: ClientOptions & { closeTimeout: number } = {
    perMessageDeflate: false,
    maxPayload: LIMITS.maxControlMessageBytes,
    handshakeTimeout: LIMITS.handshakeMs,
    closeTimeout: LIMITS.closeMs,
    followRedirects: false,
    createConnection: creating(
      wayTo(endpoint),
      (plain) => (socket = relayTls(endpoint, plain)),
      over.signal,
    ) as never,
  };
  const ws = new WebSocket(url, [CONTROL_SUBPROTOCOL], wsOptions);
  /** What came in one breath with `welcome`: the channel's to hear, once there is one. */
  const early: [data: Buffer, isBinary: boolean][] = [];
  try {
    const welcome = await within(
      handshake(ws, options, nonce, early),
      LIMITS.handshakeMs,
      `the handshake with ${endpoint.url}`,
      signal,
    );
    if (!welcome.relay || !socket)
      throw new PortalError('protocol', `${endpoint.url} did not prove its own key`);
    await endpoint.trust?.(verifyRelay(welcome.relay, { url: endpoint.url, nonce, socket }));
    // A connection that was cut tells so, paused or not.
    if (ws.readyState !== WebSocket.OPEN)
      throw new PortalError('relay_unreachable', 'the relay closed the control channel');
    // From here on the channel listens alone.
    ws.removeAllListeners();
    // On a detour nobody tells it.
    const address = (endpoint.detour ? undefined : socket?.remoteAddress) ?? wayTo(endpoint).host;
    const channel = new ControlChannel(ws, welcome, address, socket, endpoint.detour);
    // In the next turn, when whoever waits for the channel listens to it.
    setImmediate(() => {
      for (const [data, isBinary] of early) ws.emit('message', data, isBinary);
      ws.resume();
    });
    return channel;
  } catch (error) {
    ws.on('error', () => undefined);
    ws.terminate();
    over.abort();
    throw connectError(error, endpoint.url);
  }
}

/** hello → challenge → prove → welcome. */
function handshake(
  ws: WebSocket,
  options: ControlOptions,
  nonce: string,
  early: [data: Buffer, isBinary: boolean][],
): Promise<Welcome> {
  const { identity, instance, version, endpoint } = options;
  const authority = new URL(endpoint.url).host;
  return new Promise((resolve, reject) => {
    const say = (message: FromAgent): void => ws.send(encode(message));
    ws.once('error', reject);
    // No upgrade: the relay has no room now, say.
    ws.once('unexpected-response', (_request, response) => void refusal(response, endpoint.url).then(reject));
    ws.once('close', (_code, reason) => {
      reject(
        new PortalError(
          'relay_unreachable',
          `the relay closed the control channel ${describeClose(reason)}`.trim(),
        ),
      );
    });
    ws.once('open', () => {
      say({
        type: 'hello',
        protocol: PROTOCOL_VERSION,
        agent: { instance, version },
        address: identity.address,
        nonce,
        understands: ['lease.unserved'],
      });
    });
    let isWelcome = false;
    ws.on('message', (data: Buffer, isBinary: boolean) => {
      if (isWelcome) {
        early.push([data, isBinary]);
        return;
      }
      try {
        const message = decodeFromRelay(data);
        if (message.type === 'challenge') {
          // Checked before it is signed: a relay must not get a signature that opens another relay.
          checkChallenge(message.message, {
            address: identity.address,
            domain: authority,
            statement: STATEMENTS.control,
            now: new Date(),
          });
          say({ type: 'prove', signature: identity.sign(message.message) });
        } else if (message.type === 'welcome') {
          // Whether the relay is trusted takes a while: what it says next is the channel's to hear.
          isWelcome = true;
          ws.pause();
          resolve(message);
        } else if (message.type === 'error') reject(relayError(message));
        else throw new PortalError('protocol', `${message.type} is out of turn`);
      } catch (error) {
        reject(asPortalError(error, 'protocol'));
      }
    });
  });
}

const MAX_REFUSAL_BYTES = 4_096;

/** What a relay says in place of an upgrade: its own code and words where there are any, and when to come back. */
async function refusal(response: IncomingMessage, url: string): Promise<PortalError> {
  const { statusCode = 0, headers } = response;
  const seconds = Number(headers['retry-after']);
  const retryAfterMs = seconds >= 0 ? seconds * 1_000 : undefined;
  let text = '';
  try {
    for await (const chunk of response) {
      text += String(chunk);
      if (text.length > MAX_REFUSAL_BYTES) break;
    }
  } catch {
    // The status has to do.
  }
  const said = readRefusal(text);
  if (said)
    return relayError({ type: 'error', ...said, ...(retryAfterMs !== undefined && { retryAfterMs }) });
  return new PortalError('relay_unreachable', `${url} answered ${statusCode} in place of a control channel`, {
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

function readRefusal(text: string): { code: string; message: string } | undefined {
  try {
    const { code, message } = JSON.parse(text) as { code?: unknown; message?: unknown };
    if (typeof code === 'string' && typeof message === 'string')
      return { code, message: message.slice(0, 1000) };
  } catch {
    // A proxy's page, perhaps.
  }
  return undefined;
}

/** What node says of a certificate that it does not take. */
export const UNTRUSTED: ReadonlySet<string> = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_HAS_EXPIRED',
  'CERT_SIGNATURE_FAILURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

/** What kept a relay from being reached, in words of ours. */
export function connectError(error: unknown, url: string): PortalError {
  if (error instanceof PortalError && error.code !== 'internal') return error;
  const system = systemCode(error);
  const reason = asPortalError(error).message;
  if (system && UNTRUSTED.has(system)) {
    return new PortalError('relay_untrusted', `the certificate of ${url} is not trusted: ${reason}`, {
      cause: error,
      hint: ERRORS.relay_untrusted.remedy,
    });
  }
  // Refused in the middle of the handshake: something listens, but not for this name.
  const hint = system === 'EPROTO' ? 'Name the relay by its own domain; it answers to no other.' : undefined;
  return new PortalError('relay_unreachable', `${url} cannot be reached: ${system ?? reason}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}
