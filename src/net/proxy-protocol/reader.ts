import { isIP, type Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import { deadline } from '../../lib/wait.js';
import { setClient } from '../client-address.js';
import { SIGNATURE, TCP4, TCP6 } from './header.js';
import { resetSocket } from '../splice/reset.js';

/** Reads headers of the PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt), from trusted proxies. */

type Verdict =
  /** Undecided: more bytes are needed. */
  | { readonly kind: 'need' }
  | { readonly kind: 'invalid' }
  /** `client` is undefined for a connection of the proxy itself, for example a health check. */
  | {
      readonly kind: 'header';
      readonly length: number;
      readonly client: { readonly address: string; readonly port: number } | undefined;
    };

const NEED: Verdict = { kind: 'need' };
const INVALID: Verdict = { kind: 'invalid' };

/** Signature, version and command, family, length. */
const HEAD_BYTES = 16;
const VERSION = 2;
const COMMANDS = { local: 0, proxy: 1 } as const;
/** The rest is addresses and optional fields, for which no sender needs more. */
const MAX_REST_BYTES = 4_096;

const V1_PREFIX = Buffer.from('PROXY ');
/** §2.1: with CRLF. */
const MAX_V1_BYTES = 107;
const V1 = /^PROXY (?:UNKNOWN(?: [ -~]*)?|TCP([46]) (\S+) \S+ (\d{1,5}) \d{1,5})\r\n$/;
const MAX_PORT = 65_535;

/** The header at the start of `bytes`. */
export function readProxyHeader(bytes: Buffer): Verdict {
  if (startsLike(bytes, SIGNATURE)) return readVersion2(bytes);
  return startsLike(bytes, V1_PREFIX) ? readVersion1(bytes) : INVALID;
}

/** Whether `bytes` begin with `prefix`, as far as they go. */
function startsLike(bytes: Buffer, prefix: Buffer): boolean {
  const length = Math.min(bytes.length, prefix.length);
  return bytes.subarray(0, length).equals(prefix.subarray(0, length));
}

function readVersion2(bytes: Buffer): Verdict {
  if (bytes.length < HEAD_BYTES) return NEED;
  const [versionAndCommand, family, rest] = [bytes[12]!, bytes[13]!, bytes.readUInt16BE(14)];
  const command = versionAndCommand & 0x0f;
  if (versionAndCommand >> 4 !== VERSION || command > COMMANDS.proxy || rest > MAX_REST_BYTES) return INVALID;
  const length = HEAD_BYTES + rest;
  if (bytes.length < length) return NEED;
  if (command === COMMANDS.local) return { kind: 'header', length, client: undefined };
  const size = family === TCP4 ? 4 : family === TCP6 ? 16 : undefined;
  // §2.2: a receiver must accept other families, and use the address of the connection.
  if (size === undefined) return { kind: 'header', length, client: undefined };
  if (rest < 2 * size + 4) return INVALID;
  const from = bytes.subarray(HEAD_BYTES, HEAD_BYTES + size);
  const port = bytes.readUInt16BE(HEAD_BYTES + 2 * size);
  return { kind: 'header', length, client: { address: ipaddr.fromByteArray([...from]).toString(), port } };
}

function readVersion1(bytes: Buffer): Verdict {
  const end = bytes.indexOf('\r\n');
  if (end < 0) return bytes.length < MAX_V1_BYTES ? NEED : INVALID;
  const length = end + 2;
  const match = length <= MAX_V1_BYTES && V1.exec(bytes.toString('latin1', 0, length));
  if (!match) return INVALID;
  const [, family, address, port] = match;
  if (family === undefined) return { kind: 'header', length, client: undefined };
  if (isIP(address!) !== Number(family) || Number(port) > MAX_PORT) return INVALID;
  return { kind: 'header', length, client: { address: address!, port: Number(port) } };
}

/**
 * Reads the header of a connection from a trusted proxy within `ms`, notes its client, and calls `then`. The rest of the bytes is
 * back in the socket. Resets a connection without a valid header: its client would pass for the proxy.
 */
export function acceptProxied(socket: Socket, ms: number, then: () => void): void {
  let bytes: Buffer = Buffer.alloc(0);
  const leave = (): void => {
    late();
    socket.off('data', onData).off('end', refuse).off('close', leave);
  };
  const refuse = (): void => {
    leave();
    resetSocket(socket);
  };
  const late = deadline(ms, refuse);
  const onData = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk]);
    const verdict = readProxyHeader(bytes);
    if (verdict.kind === 'need') return;
    if (verdict.kind === 'invalid') return refuse();
    leave();
    socket.pause();
    if (verdict.client) setClient(socket, verdict.client);
    const rest = bytes.subarray(verdict.length);
    if (rest.length > 0) socket.unshift(rest);
    then();
    socket.resume();
  };
  socket.on('error', () => undefined);
  socket.on('data', onData).on('end', refuse).on('close', leave);
  // A public port accepts its connections paused.
  socket.resume();
}
