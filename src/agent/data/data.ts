import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { WebSocket, type ClientOptions } from 'ws';
import { PortalError } from '../../lib/errors.js';
import { deadline, within } from '../../lib/wait.js';
import { resetSocket } from '../../net/splice/reset.js';
import { WsSocket } from '../../net/websocket/socket.js';
import {
  DATA_MESSAGES,
  DATA_SUBPROTOCOL,
  DATA_UPGRADE,
  LIMITS,
  PATHS,
  START_BYTE,
} from '../../protocol/limits.js';
import type { WireCarrier } from '../../protocol/messages.js';
import { REUSE, REUSE_HEADER, readReuse } from '../../protocol/reuse.js';
import { showTicket } from '../../protocol/ticket.js';
import { REJECTED, ticketLine } from '../../protocol/ticket-line.js';
import {
  createConnectionTo,
  openPlain,
  openTls,
  relayTls,
  destinationOf,
  type RelayEndpoint,
} from '../session/relay-endpoint.js';
import type { Resumption } from './resumption.js';
import { channelBinding } from '../session/channel-binding.js';
import { SharedConnection, type DataConnection, type SharedOptions } from './data-connection.js';
import { showing, shownOn } from './show-ticket.js';
import { readUpgradeResponse } from './upgrade-response.js';

/** Opens one data connection and waits for the relay to start it. */

export interface DataDial {
  readonly endpoint: RelayEndpoint;
  /** IP address of the relay instance that holds the control channel. */
  readonly relayAddress: string;
  readonly carrier: WireCarrier;
  readonly ticket: string;
  readonly signal: AbortSignal;
  readonly resumption: Resumption;
  /** Called after each visit, if the relay agrees that the connection serves several. Undefined: it serves one. */
  readonly onFree: SharedOptions['onFree'] | undefined;
}

/** Opens a data connection. Rejects with `expired` if the relay rejects the ticket. */
export function openData(dial: DataDial): Promise<DataConnection> {
  return dial.carrier === 'ws' ? openWebSocket(dial) : upgrade(dial);
}

/** A hand-written HTTP upgrade: when hundreds open together, node's HTTP client causes much of their cost. */
async function upgrade(dial: DataDial): Promise<DataConnection> {
  const { endpoint, relayAddress, carrier, ticket, signal, resumption } = dial;
  const destination = destinationOf(endpoint, relayAddress);
  const isRaw = carrier === 'raw';
  const opened = isRaw
    ? openPlain(destination, LIMITS.requestMs, signal)
    : openTls(endpoint, destination, resumption, LIMITS.requestMs, signal);
  // Awaits only a promise: if the system rejects a connection at once, its error comes before an await continues.
  const socket = opened instanceof Promise ? await opened : opened;
  const head = (): string =>
    [
      `GET ${PATHS.data} HTTP/1.1`,
      `host: ${new URL(endpoint.url).host}`,
      'connection: Upgrade',
      `upgrade: ${DATA_UPGRADE}`,
      ...(isRaw || !dial.onFree ? [] : [`${REUSE_HEADER}: ${REUSE}`]),
      `authorization: ${isRaw ? showTicket(ticket, undefined) : shownOn(socket as TLSSocket, endpoint.url, ticket)}`,
      '\r\n',
    ].join('\r\n');
  try {
    const upgrading = upgraded(socket, head, isRaw ? undefined : 'secureConnect');
    const reuse = await within(upgrading, LIMITS.requestMs, 'a data connection', signal);
    return connectionOn(socket, dial, isRaw ? undefined : reuse, socket);
  } catch (error) {
    // The relay may already have joined a visitor to this connection.
    resetSocket(socket);
    throw error;
  }
}

/** The connection on `socket`. `reuse` is that header of the response; `authenticated`, the TLS session of its tickets. */
function connectionOn(
  socket: Socket,
  { endpoint: { url }, onFree }: DataDial,
  reuse: string | undefined,
  authenticated: Socket,
): DataConnection {
  const tag = readReuse(reuse);
  if (!onFree || tag === undefined) return { started: (signal) => started(socket, signal) };
  const channel = channelBinding(url, authenticated as TLSSocket, 'the agent sends no ticket');
  return new SharedConnection(socket, { channel, tag, onFree });
}

/**
 * Sends the request `head`, immediately or on `event`, and reads exactly the head of the response. Resolves with its header
 * about reuse.
 */
function upgraded(
  socket: Socket,
  head: () => string,
  event: 'secureConnect' | undefined,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    let response = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      response = Buffer.concat([response, chunk]);
      const verdict = readUpgradeResponse(response);
      if (verdict.kind === 'need') return;
      stop();
      if (verdict.kind === 'refused') return reject(refused(verdict.status));
      if (verdict.rest.length > 0) socket.unshift(verdict.rest);
      resolve(verdict.reuse);
    };
    const fail = (error: Error): void => {
      stop();
      reject(error);
    };
    const gone = (): void => fail(notUpgraded());
    const stop = (): void => {
      socket.off('data', onData).off('error', fail).off('close', gone).off('end', gone);
      socket.pause();
    };
    // This listener stays, so that a later error does not end the process. The owner adds another one.
    socket.on('error', () => undefined);
    socket.on('data', onData).on('error', fail).on('close', gone).on('end', gone);
    const ask = (): void => {
      try {
        socket.write(head());
      } catch (error) {
        fail(error as Error);
      }
    };
    if (event) socket.once(event, ask);
    else ask();
  });
}

/**
 * Opens a data connection of the carrier `raw` by its ticket line, and waits for the relay to start it: the relay
 * responds only to a line that it rejects. Rejects like `openData` and `started`.
 */
export async function startByLine({
  endpoint,
  relayAddress,
  ticket,
  signal,
}: Pick<DataDial, 'endpoint' | 'relayAddress' | 'ticket' | 'signal'>): Promise<Socket> {
  const opened = openPlain(destinationOf(endpoint, relayAddress), LIMITS.requestMs, signal);
  const socket = opened instanceof Promise ? await opened : opened;
  const connected = deadline(LIMITS.requestMs, () => socket.destroy(notUpgraded()));
  socket.once('connect', connected).once('close', connected);
  socket.write(ticketLine(ticket), 'latin1');
  return started(socket, signal);
}

function openWebSocket(dial: DataDial): Promise<DataConnection> {
  const { endpoint, relayAddress, ticket, signal, onFree } = dial;
  const url = new URL(PATHS.data, endpoint.url);
  url.protocol = 'wss:';
  const options: ClientOptions & { closeTimeout: number } = {
    perMessageDeflate: false,
    maxPayload: LIMITS.maxDataMessageBytes,
    handshakeTimeout: LIMITS.requestMs,
    closeTimeout: LIMITS.closeMs,
    autoPong: false,
    followRedirects: false,
    headers: onFree ? { [REUSE_HEADER]: REUSE } : {},
    finishRequest: showing(endpoint.url, ticket),
    createConnection: createConnectionTo(
      destinationOf(endpoint, relayAddress),
      (plain) => relayTls(endpoint, plain),
      signal,
    ) as never,
  };
  const ws = new WebSocket(url, [DATA_SUBPROTOCOL], options);
  const abort = (): void => ws.terminate();
  return new Promise<DataConnection>((resolve, reject) => {
    let response: IncomingMessage;
    ws.once('upgrade', (upgradeResponse) => (response = upgradeResponse));
    // Data that arrives with the handshake must find its listeners.
    ws.once('open', () => {
      const { headers, socket } = response;
      try {
        resolve(
          connectionOn(
            new WsSocket(ws, DATA_MESSAGES),
            dial,
            headers[REUSE_HEADER] as string | undefined,
            socket,
          ),
        );
      } catch (error) {
        reject(error);
        ws.terminate();
      }
    });
    ws.once('unexpected-response', (_request, { statusCode }) => {
      reject(refused(statusCode));
      ws.terminate();
    });
    ws.on('error', reject);
    ws.once('close', () => reject(notUpgraded()));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  }).finally(() => signal.removeEventListener('abort', abort));
}

function refused(status: number | string | undefined): PortalError {
  return new PortalError('expired', `the relay rejected a data connection (${status})`);
}

function notUpgraded(): PortalError {
  return new PortalError('timeout', 'a data connection timed out');
}

/**
 * Resolves with the socket of an idle data connection once the relay has written the start byte. Later bytes belong to the
 * visitor and stay in the socket. Rejects when the connection ends or `signal` aborts.
 */
function started(socket: Socket, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      stop();
      socket.pause();
      if (chunk[0] !== START_BYTE) {
        resetSocket(socket);
        return reject(notStarted(chunk[0]));
      }
      if (chunk.length > 1) socket.unshift(chunk.subarray(1));
      resolve(socket);
    };
    const onClose = (): void => {
      stop();
      resetSocket(socket);
      reject(
        new PortalError('relay_unreachable', 'the relay closed a data connection without a visitor', {
          cause,
        }),
      );
    };
    const stop = (): void => {
      socket.off('data', onData).off('close', onClose).off('end', onClose);
      signal.removeEventListener('abort', onClose);
    };
    let cause: Error | undefined;
    // Permanent: the splice handles later errors, which must not end the process before it listens.
    socket.on('error', (error) => (cause ??= error));
    socket.on('data', onData);
    socket.on('close', onClose);
    socket.on('end', onClose);
    socket.resume();
    if (signal.aborted || socket.destroyed) onClose();
    else signal.addEventListener('abort', onClose, { once: true });
  });
}

function notStarted(byte: number | undefined): PortalError {
  if (byte === REJECTED.ticket) return refused('its ticket is invalid');
  if (byte === REJECTED.noDescriptor) return refused('no file descriptor is free');
  return new PortalError('protocol', 'a data connection started with an unknown byte');
}
