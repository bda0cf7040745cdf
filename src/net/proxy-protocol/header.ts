import { isIPv4, isIPv6 } from 'node:net';

/**
 * PROXY protocol version 2 (haproxy's proxy-protocol.txt): a binary header before a connection's bytes that names the
 * client.
 */

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface ProxiedConnection {
  /** Client and local endpoint. The header contains them only if the client's address is an IP address. */
  readonly remote: Endpoint;
  readonly local: Endpoint;
  /** The connection's TLS, if the sender of this header terminated it. */
  readonly tls?: {
    /** As node reports it, for example `TLSv1.3`. */
    readonly version: string;
    readonly cipher: string;
    readonly serverName?: string;
    readonly alpn?: string;
  };
}

export const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const VERSION_2 = 0x20;
const LOCAL = 0;
const PROXY = 1;
/** Address families. */
export const TCP4 = 0x11;
export const TCP6 = 0x21;

const TYPE = { alpn: 0x01, authority: 0x02, ssl: 0x20, sslVersion: 0x21, sslCipher: 0x23 } as const;
/** In the TLS TLV: the client used TLS, and no client certificate was verified. */
const CLIENT_SSL = 0x01;
const NOT_VERIFIED = 1;

/** For a connection of the proxy itself, for example a health check. */
export const LOCAL_HEADER = header(LOCAL, 0, []);

/** The header for a visitor's connection. It is LOCAL if the visitor's address is unknown. */
export function proxyHeader({ remote, local, tls }: ProxiedConnection): Buffer {
  const [from, to] = [toBytes(remote.address), toBytes(local.address)];
  if (!from) return LOCAL_HEADER;
  // Both addresses must have the same family. An unknown address fits either.
  const isV4 = from.length === 4 && (to?.length ?? 4) === 4;
  const size = isV4 ? 4 : 16;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(remote.port, 0);
  ports.writeUInt16BE(local.port, 2);
  const addresses = [widen(from, size), widen(to ?? Buffer.alloc(size), size), ports];
  return header(PROXY, isV4 ? TCP4 : TCP6, [...addresses, ...(tls ? tlvsOf(tls) : [])]);
}

function header(command: number, family: number, parts: readonly Buffer[]): Buffer {
  const rest = Buffer.concat(parts);
  const head = Buffer.from([VERSION_2 | command, family, rest.length >> 8, rest.length & 0xff]);
  return Buffer.concat([SIGNATURE, head, rest]);
}

function tlvsOf({ version, cipher, serverName, alpn }: NonNullable<ProxiedConnection['tls']>): Buffer[] {
  const verify = Buffer.alloc(4);
  verify.writeUInt32BE(NOT_VERIFIED);
  const about = [
    Buffer.from([CLIENT_SSL]),
    verify,
    tlv(TYPE.sslVersion, version),
    tlv(TYPE.sslCipher, cipher),
  ];
  return [
    ...(alpn === undefined ? [] : [tlv(TYPE.alpn, alpn)]),
    ...(serverName === undefined ? [] : [tlv(TYPE.authority, serverName)]),
    tlv(TYPE.ssl, Buffer.concat(about)),
  ];
}

function tlv(type: number, value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([Buffer.from([type, bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

const V4_MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

function widen(bytes: Buffer, size: number): Buffer {
  return bytes.length === size ? bytes : Buffer.concat([V4_MAPPED, bytes]);
}

/** 4 or 16 bytes, a v4-mapped address as IPv4. Undefined if `address` is not an IP address. */
function toBytes(address: string): Buffer | undefined {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address)) return undefined;
  // Drop the zone, and write a dotted IPv4 tail in hex like the rest.
  const text = address.replace(/%.*$/, '').replace(/[\d.]+$/, (tail) => {
    if (!tail.includes('.')) return tail;
    const [a, b, c, d] = tail.split('.').map(Number) as [number, number, number, number];
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [left = [], right = []] = text
    .split('::')
    .map((side) => side.split(':').filter((word) => word !== ''));
  const words = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right];
  const bytes = Buffer.alloc(16);
  for (const [index, word] of words.entries()) bytes.writeUInt16BE(Number.parseInt(word, 16), index * 2);
  return bytes.subarray(0, 12).equals(V4_MAPPED) ? bytes.subarray(12) : bytes;
}
