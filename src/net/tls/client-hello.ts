/**
 * Reads the server name and ALPN from the first bytes of a TLS connection, without decrypting anything: bytes in, verdict
 * out. Nothing here waits, keeps state or throws.
 *
 * Sources: TLS records RFC 8446 §5.1, handshake header §4, ClientHello §4.1.2 (and RFC 5246 §7.4.1.2 for hellos without
 * extensions), server_name RFC 6066 §3, ALPN RFC 7301 §3.1.
 *
 * It checks every length on the way to the two extensions that it reads. The TLS stack that terminates the session checks
 * the rest of the handshake.
 */
import { isIPv4, isIPv6 } from 'node:net';

/** The content of a connection's first bytes. */
export type ClientHelloVerdict =
  /** Undecided until at least `bytes` bytes, counted from the start, have arrived. */
  | { readonly kind: 'need'; readonly bytes: number }
  /**
   * A complete ClientHello. `serverName` is a lower-case DNS name without a trailing dot, absent when the client names no
   * host. `alpn` is in the client's order, one character per byte (latin1): protocol ids are opaque.
   */
  | { readonly kind: 'hello'; readonly serverName?: string; readonly alpn: string[] }
  /** The connection does not begin like TLS: plain HTTP, or another protocol. */
  | { readonly kind: 'not-tls' }
  /** It begins like TLS but is malformed or exceeds a limit below. `reason` completes "the ClientHello …". */
  | { readonly kind: 'invalid'; readonly reason: string };

type Invalid = Extract<ClientHelloVerdict, { kind: 'invalid' }>;

/** Size limit of the handshake message, header included. Post-quantum hellos are 2 KB, unusual ones 18 KB. */
export const MAX_HANDSHAKE_BYTES = 64 * 1024;
/** Limit of TLS records for one hello. */
export const MAX_RECORDS = 64;
/** `need` never requests more than this, so it limits the caller's buffer. */
export const MAX_CLIENT_HELLO_BYTES = MAX_HANDSHAKE_BYTES + MAX_RECORDS * 5;
/** IANA has assigned about 70 types and GREASE adds 16. The limit keeps the search for duplicates cheap. */
const MAX_EXTENSIONS = 128;

const RECORD_HEADER_BYTES = 5;
const MAX_RECORD_BYTES = 2 ** 14;
const CONTENT_HANDSHAKE = 22;
const HANDSHAKE_HEADER_BYTES = 4;
const HANDSHAKE_CLIENT_HELLO = 1;
const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ALPN = 16;
const NAME_TYPE_HOST = 0;

/**
 * The verdict on `bytes`, everything received on a connection so far. Call it again when `need.bytes` bytes have arrived.
 * Bytes after the hello never change the verdict.
 *
 * A ClientHello in one record is read in place (about 0.4 µs). One in many records is joined first.
 */
export function readClientHello(bytes: Buffer): ClientHelloVerdict {
  // The first byte distinguishes plain HTTP from TLS, so it is checked before the whole record header has arrived.
  if (bytes.length === 0) return need(1);
  if (bytes[0] !== CONTENT_HANDSHAKE) return { kind: 'not-tls' };
  if (bytes.length === 1) return need(2);
  if (bytes[1] !== 3) return { kind: 'not-tls' };

  let recordAt = 0; // where the current record's header begins
  let gathered = 0; // handshake bytes in earlier records
  let messageLength = 0; // the whole handshake message; 0 while its header is incomplete
  for (let records = 1; ; records++) {
    const start = recordAt + RECORD_HEADER_BYTES;
    if (bytes.length < start) return need(start);
    if (bytes[recordAt] !== CONTENT_HANDSHAKE || bytes[recordAt + 1] !== 3) {
      return invalid('is interrupted by another kind of record');
    }
    // The minor version is ignored, as §5.1 requires: clients send anything from 3.0 to 3.4.
    const length = u16(bytes, recordAt + 3);
    if (length === 0) return invalid('has an empty record');
    if (length > MAX_RECORD_BYTES) return invalid('has a record of more than 16 KB');
    const end = start + length;

    if (messageLength === 0 && gathered + length >= HANDSHAKE_HEADER_BYTES) {
      const headerEnd = start + HANDSHAKE_HEADER_BYTES - gathered;
      if (bytes.length < headerEnd) return need(headerEnd);
      const header = handshakeHeader(bytes, gathered, headerEnd);
      if (typeof header !== 'number') return header;
      messageLength = header;
    }
    if (messageLength > 0 && gathered + length >= messageLength) {
      const messageEnd = start + messageLength - gathered;
      if (bytes.length < messageEnd) return need(messageEnd);
      // The TLS stack behind us checks the rest of the record.
      if (records === 1) return readBody(bytes, start + HANDSHAKE_HEADER_BYTES, messageEnd);
      return readBody(join(bytes, messageLength), HANDSHAKE_HEADER_BYTES, messageLength);
    }
    if (records === MAX_RECORDS) return invalid(`is spread over more than ${MAX_RECORDS} records`);
    gathered += length;
    recordAt = end;
  }
}

/**
 * Length of the whole handshake message, from its header, whose last byte is before `end`. `gathered` of its four bytes
 * are in earlier records, which then contain nothing else.
 */
function handshakeHeader(bytes: Buffer, gathered: number, end: number): number | Invalid {
  const header = gathered === 0 ? bytes : join(bytes, HANDSHAKE_HEADER_BYTES);
  const at = gathered === 0 ? end - HANDSHAKE_HEADER_BYTES : 0;
  if (header[at] !== HANDSHAKE_CLIENT_HELLO) return invalid('is another handshake message');
  const length = HANDSHAKE_HEADER_BYTES + ((header[at + 1]! << 16) | u16(header, at + 2));
  return length > MAX_HANDSHAKE_BYTES ? invalid('is larger than 64 KB') : length;
}

/** The first `length` handshake bytes without the record headers between them. All of them must have arrived. */
function join(bytes: Buffer, length: number): Buffer {
  const message = Buffer.allocUnsafe(length);
  let recordAt = 0;
  let filled = 0;
  while (filled < length) {
    const start = recordAt + RECORD_HEADER_BYTES;
    recordAt = start + u16(bytes, recordAt + 3);
    filled += bytes.copy(message, filled, start, Math.min(recordAt, start + length - filled));
  }
  return message;
}

/** The body of a ClientHello: exactly `bytes[from, end)`. */
function readBody(bytes: Buffer, from: number, end: number): ClientHelloVerdict {
  let at = from + 2 + 32; // legacy_version, random
  if (at >= end) return invalid('is truncated');
  if (bytes[from] !== 3) return invalid('has an unknown version');

  const sessionId = bytes[at]!;
  if (sessionId > 32) return invalid('has a session id of more than 32 bytes');
  at += 1 + sessionId;

  if (at + 2 > end) return invalid('is truncated');
  const ciphers = u16(bytes, at);
  if (ciphers === 0 || ciphers % 2 !== 0) return invalid('has a malformed list of cipher suites');
  at += 2 + ciphers;

  if (at >= end) return invalid('is truncated');
  const compressions = bytes[at]!;
  if (compressions === 0) return invalid('has no compression method');
  at += 1 + compressions;

  if (at === end) return { kind: 'hello', alpn: [] }; // TLS 1.2 and older may have no extensions
  if (at + 2 > end || at + 2 + u16(bytes, at) !== end) return invalid('has a wrong length');
  return readExtensions(bytes, at + 2, end);
}

/** Extension types in the current hello. Reused, because a call always finishes within one turn of the event loop. */
const seenTypes = new Uint16Array(MAX_EXTENSIONS);

function readExtensions(bytes: Buffer, from: number, end: number): ClientHelloVerdict {
  let serverName: string | undefined;
  let alpn: string[] | undefined;
  let count = 0;
  for (let at = from; at < end;) {
    if (at + 4 > end) return invalid('is truncated within an extension');
    const type = u16(bytes, at);
    const start = at + 4;
    at = start + u16(bytes, at + 2);
    if (at > end) return invalid('is truncated within an extension');

    if (count === MAX_EXTENSIONS) return invalid(`has more than ${MAX_EXTENSIONS} extensions`);
    for (let i = 0; i < count; i++) {
      if (seenTypes[i] === type) return invalid('has a duplicate extension');
    }
    seenTypes[count++] = type;

    // Skips all others: GREASE (RFC 8701), unknown types, and ECH, whose outer name is the one to route by.
    if (type === EXTENSION_SERVER_NAME) {
      const name = readServerName(bytes, start, at);
      if (typeof name === 'object') return name;
      serverName = name;
    } else if (type === EXTENSION_ALPN) {
      const list = readAlpn(bytes, start, at);
      if (!Array.isArray(list)) return list;
      alpn = list;
    }
  }
  return serverName === undefined
    ? { kind: 'hello', alpn: alpn ?? [] }
    : { kind: 'hello', serverName, alpn: alpn ?? [] };
}

/** ServerNameList: at most one host_name. Other name types are skipped by the length that each begins with. */
function readServerName(bytes: Buffer, from: number, end: number): string | undefined | Invalid {
  if (from + 2 >= end || from + 2 + u16(bytes, from) !== end) return invalid('has a malformed server name');
  let host: string | undefined | Invalid;
  let found = false;
  for (let at = from + 2; at < end;) {
    if (at + 3 > end) return invalid('has a malformed server name');
    const type = bytes[at];
    const start = at + 3;
    at = start + u16(bytes, at + 1);
    if (at > end) return invalid('has a malformed server name');
    if (type !== NAME_TYPE_HOST) continue;
    if (found) return invalid('names two hosts');
    found = true;
    host = readHostName(bytes, start, at);
    if (typeof host === 'object') return host;
  }
  return host;
}

/**
 * A DNS name in lower case. RFC 6066 §3 allows neither a trailing dot nor an IP literal, and clients send both. The dot
 * is dropped. A literal counts as no name, which is what the client would have sent under the RFC. Underscores pass: no
 * RFC allows them in a host name, but many hosts have them.
 */
function readHostName(bytes: Buffer, from: number, to: number): string | undefined | Invalid {
  const end = to > from && bytes[to - 1] === DOT ? to - 1 : to;
  if (isDnsName(bytes, from, end)) {
    const name = bytes.toString('latin1', from, end).toLowerCase();
    // Only a digit can end an IPv4 literal, so ordinary names skip the expensive test.
    return isDigit(bytes[end - 1]!) && isIPv4(name) ? undefined : name;
  }
  const isLiteral = end - from <= MAX_IPV6_TEXT_BYTES && isIPv6(bytes.toString('latin1', from, end));
  return isLiteral ? undefined : invalid('names a host that is not a DNS name');
}

const DOT = 0x2e;
const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;
const MAX_DNS_NAME_BYTES = 253;
const MAX_DNS_LABEL_BYTES = 63;
const MAX_IPV6_TEXT_BYTES = 45;

/** Labels of 1 to 63 letters, digits, hyphens (not at an end) and underscores; 253 bytes in all. */
function isDnsName(bytes: Buffer, from: number, end: number): boolean {
  if (end <= from || end - from > MAX_DNS_NAME_BYTES) return false;
  let labelAt = from;
  for (let at = from; at <= end; at++) {
    const byte = at === end ? DOT : bytes[at]!;
    if (byte === DOT) {
      const length = at - labelAt;
      if (length === 0 || length > MAX_DNS_LABEL_BYTES) return false;
      if (bytes[labelAt] === HYPHEN || bytes[at - 1] === HYPHEN) return false;
      labelAt = at + 1;
    } else if (!isLetter(byte) && !isDigit(byte) && byte !== HYPHEN && byte !== UNDERSCORE) {
      return false;
    }
  }
  return true;
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
const isLetter = (byte: number): boolean => (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;

function readAlpn(bytes: Buffer, from: number, end: number): string[] | Invalid {
  if (from + 2 >= end || from + 2 + u16(bytes, from) !== end) return invalid('has a malformed ALPN list');
  const protocols: string[] = [];
  for (let at = from + 2; at < end;) {
    const start = at + 1;
    at = start + bytes[at]!;
    if (at === start || at > end) return invalid('has a malformed ALPN list');
    protocols.push(bytes.toString('latin1', start, at));
  }
  return protocols;
}

const u16 = (bytes: Buffer, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
const need = (bytes: number): ClientHelloVerdict => ({ kind: 'need', bytes });
const invalid = (reason: string): Invalid => ({ kind: 'invalid', reason });
