import { request as httpRequest } from 'node:http';
import { connect as netConnect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { PortalError } from '../lib/errors.js';
import { SOCKET_BUFFER_BYTES } from '../net/splice.js';
import { DATA_UPGRADE, LIMITS, PATHS, START_BYTE } from '../protocol/limits.js';
import type { WireCarrier } from '../protocol/messages.js';
import { serverNameOf, type RelayEndpoint } from './connect.js';

/** Opening one data connection and waiting for the relay to start it. */

export interface DataDial {
  readonly endpoint: RelayEndpoint;
  /** IP address of the relay instance that the control channel talks to. */
  readonly relayAddress: string;
  readonly carrier: WireCarrier;
  readonly ticket: string;
  readonly signal: AbortSignal;
}

/**
 * Opens a data connection and resolves with its socket once the relay has written the start byte; what
 * follows the byte is the visitor's and is left in the socket. Rejects when the connection fails or `signal`
 * aborts; an idle one waits as long as its session lives.
 */
export async function dialData(dial: DataDial): Promise<Socket> {
  const socket = await upgrade(dial);
  return started(socket, dial.signal);
}

function upgrade({ endpoint, relayAddress, carrier, ticket, signal }: DataDial): Promise<Socket> {
  const url = new URL(endpoint.url);
  const port = Number(url.port || 443);
  const options = {
    host: relayAddress,
    port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 15_000,
    highWaterMark: SOCKET_BUFFER_BYTES,
  };
  const connect = (): Socket => {
    const plain = netConnect(options);
    if (carrier === 'raw') return plain;
    return tlsConnect({
      socket: plain,
      ...serverNameOf(url),
      ALPNProtocols: ['http/1.1'],
      ...(endpoint.ca === undefined ? {} : { ca: endpoint.ca }),
    });
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      createConnection: connect,
      path: PATHS.data,
      headers: {
        host: url.host,
        connection: 'Upgrade',
        upgrade: DATA_UPGRADE,
        authorization: `Bearer ${ticket}`,
      },
      timeout: LIMITS.requestMs,
      signal,
    });
    request.once('upgrade', (_response, socket: Socket, head: Buffer) => {
      socket.setTimeout(0);
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.once('response', (response) => {
      request.destroy();
      reject(new PortalError('expired', `the relay refused a data connection (${response.statusCode})`));
    });
    request.once('timeout', () =>
      request.destroy(new PortalError('timeout', 'a data connection was not answered in time')),
    );
    request.once('error', reject);
    request.end();
  });
}

function started(socket: Socket, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      stop();
      socket.pause();
      if (chunk[0] !== START_BYTE) {
        socket.destroy();
        reject(new PortalError('protocol', 'a data connection began with an unknown byte'));
        return;
      }
      if (chunk.length > 1) socket.unshift(chunk.subarray(1));
      resolve(socket);
    };
    const onClose = (): void => {
      stop();
      socket.destroy();
      reject(new PortalError('relay_unreachable', 'the relay closed an idle data connection'));
    };
    const stop = (): void => {
      socket.off('data', onData).off('close', onClose).off('end', onClose);
      signal.removeEventListener('abort', onClose);
    };
    // For good: what comes later is the splice's to see, and must not end the process before it listens.
    socket.on('error', () => undefined);
    socket.on('data', onData);
    socket.on('close', onClose);
    socket.on('end', onClose);
    if (signal.aborted) onClose();
    else signal.addEventListener('abort', onClose, { once: true });
  });
}
