import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { openTcp, type Tunnel } from '../../agent/session/relay-endpoint.js';
import type { Identity } from '../../identity/identity.js';
import { PortalError, systemCode } from '../../lib/errors.js';
import { failureReason } from '../../lib/failure-reason.js';
import { within } from '../../lib/wait.js';
import { secure } from '../../net/dial.js';
import { readLine } from '../../net/read-line.js';
import { SOCKET_BUFFER_BYTES } from '../../net/splice/splice.js';
import { alertIn, TLS_ALERT } from '../../net/tls/alert.js';
import { channelOf } from '../../protocol/channel.js';
import {
  denialIn,
  provenAgent,
  replyLine,
  visitorLine,
  type ConnectPurpose,
} from '../../protocol/connect.js';
import { CONNECT_ALPN, LIMITS } from '../../protocol/limits.js';

/** The visitor's side of private access: connects to a service, and proves each side's identity to the other. */

/** Timeout from the first packet to the agent's reply. The relay holds a visitor while its agent reconnects. */
const OPEN_MS = LIMITS.visitorWaitMs + LIMITS.connectMs;

/** One way to a service: a relay that publishes it. */
export interface Door {
  readonly hostname: string;
  /** Where the relay listens. */
  readonly host: string;
  readonly port: number;
  /** The tunnel there, if the connection is not direct. */
  readonly via?: Tunnel | undefined;
}

export interface OpenOptions {
  readonly identity: Identity;
  /** Called with the proven address of the agent. Throws if the service must not be there. */
  readonly trust: (agent: string) => void;
  readonly purpose: ConnectPurpose;
  readonly signal?: AbortSignal | undefined;
}

/** A connection to the service. Its bytes are those of the target from now on. */
export interface Opened {
  readonly socket: TLSSocket;
  /** The address of the agent's identity. */
  readonly agent: string;
}

/**
 * Opens a connection. Throws `relay_unreachable`, `timeout`, `service_offline`, `connect_unsupported`, `connect_denied`,
 * `agent_untrusted`, `protocol`, or the error of `trust`.
 */
export async function openPrivate(door: Door, options: OpenOptions): Promise<Opened> {
  const { hostname, host, port, via } = door;
  const { signal } = options;
  const startedAt = performance.now();
  const plain = await openTcp({ host, port, via }, OPEN_MS, signal).catch((error: unknown) => {
    throw unreachable(door, error);
  });
  // Whatever certificate is there: the agent proves its identity over this session, and a relay cannot.
  const mark: object = { highWaterMark: SOCKET_BUFFER_BYTES };
  const socket = secure(plain, {
    servername: hostname,
    ALPNProtocols: [CONNECT_ALPN],
    secureContext: (context ??= createSecureContext({ minVersion: 'TLSv1.3' })),
    rejectUnauthorized: false,
    ...mark,
  });
  plain.on('error', (error) => socket.destroy(error));
  try {
    const leftMs = Math.max(1, OPEN_MS - (performance.now() - startedAt));
    const agent = await within(
      handshake(socket, door, options),
      leftMs,
      `a connection to ${hostname}`,
      signal,
    );
    return { socket, agent };
  } catch (error) {
    socket.destroy();
    plain.destroy();
    throw error;
  }
}

/** Shared by all connections: a context is expensive. */
let context: SecureContext | undefined;

async function handshake(
  socket: TLSSocket,
  door: Door,
  { identity, trust, purpose }: OpenOptions,
): Promise<string> {
  await secured(socket, door);
  const { hostname } = door;
  const channel = channelOf(socket);
  if (socket.alpnProtocol !== CONNECT_ALPN || channel === undefined) throw unsupported(hostname);
  const first = await readLine(socket, LIMITS.maxConnectLineBytes);
  throwIfDenied(first, hostname, identity);
  const at = { hostname, channel };
  const agent = provenAgent(first, at);
  trust(agent);
  socket.write(`${visitorLine(identity, purpose, { ...at, agent })}\n`);
  const reply = await readLine(socket, LIMITS.maxConnectLineBytes);
  throwIfDenied(reply, hostname, identity);
  if (reply !== replyLine()) throw new PortalError('protocol', `${hostname} sent an unknown reply`);
  return agent;
}

function secured(socket: TLSSocket, door: Door): Promise<void> {
  return new Promise((resolve, reject) => {
    // Permanent: an error before the splice listens must not end the process.
    socket.on('error', (error) => reject(failureOf(door, error)));
    socket.once('close', () => reject(offline(door.hostname, 'closed the connection')));
    socket.once('secureConnect', resolve);
  });
}

function failureOf({ hostname, host, port }: Door, error: Error): PortalError {
  const alert = alertIn(error.message);
  // From an agent that does not offer the protocol.
  if (alert === TLS_ALERT.noApplicationProtocol) return unsupported(hostname, error);
  // From a relay that does not know the name.
  if (alert === TLS_ALERT.unrecognizedName) return offline(hostname, 'does not publish it', error);
  const reason = systemCode(error) ?? error.message;
  if (reason === 'ECONNRESET') return offline(hostname, 'closed the connection', error);
  return new PortalError('relay_unreachable', `${host}:${port} is not a relay (${reason})`, { cause: error });
}

function unreachable({ host, port }: Door, error: unknown): PortalError {
  if (error instanceof PortalError && error.code !== 'internal') return error;
  const reason = failureReason(error);
  return new PortalError('relay_unreachable', `${host}:${port} is unreachable: ${reason}`, {
    cause: error,
    hint: 'Check the address and your network. The relay of the service must be running.',
  });
}

const offline = (hostname: string, what: string, cause?: Error): PortalError =>
  new PortalError('service_offline', `${hostname} is not online: the relay ${what}`, { cause });

const unsupported = (hostname: string, cause?: Error): PortalError =>
  new PortalError('connect_unsupported', `${hostname} does not accept \`portal connect\``, { cause });

function throwIfDenied(line: string, hostname: string, { address }: Identity): void {
  const denial = denialIn(line);
  if (denial === undefined) return;
  const { message, hint } = DENIED[denial] ?? { message: () => `it denied the connection (${denial})` };
  throw new PortalError(
    'connect_denied',
    `${hostname}: ${message(address)}`,
    hint ? { hint: hint(address) } : {},
  );
}

const DENIED: Readonly<
  Record<string, { message: (identity: string) => string; hint: (identity: string) => string }>
> = {
  identity: {
    message: (identity) => `your identity ${identity} may not connect`,
    hint: (identity) => `Ask the owner to add it to the service: access: { identities: ["${identity}"] }`,
  },
  address: {
    message: () => 'connections from your address are not allowed',
    hint: () => 'Ask the owner to add your public IP address to `access: { allowIps }` of the service.',
  },
  proof: {
    message: (identity) => `the proof of your identity ${identity} is not valid there`,
    hint: () =>
      'Something on the path may intercept TLS, or the versions of Portal differ. Try another network.',
  },
  busy: {
    message: () => 'too many connections of your network failed',
    hint: () => 'Wait a minute, then try again.',
  },
};
