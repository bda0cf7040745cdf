import { isIPv4, isIPv6 } from 'node:net';

/**
 * The PROXY protocol, version 2 (haproxy's proxy-protocol.txt): one binary header ahead of a connection's bytes that
 * tells whose they are.
 */

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface ProxiedConnection {
  /** Who connected, and to where: in the header only if the first is an IP address. */
  readonly remote: Endpoint;
  readonly local: Endpoint;
  /** The connection's TLS, where it ended at the sender of this header. */
  readonly tls?: {
    /** As node names it: `TLSv1.3`. */
    readonly version: string;
    readonly cipher: string;
    readonly serverName?: string;
    readonly alpn?: string;
  };
}

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const VERSION_2 = 0x20;
const LOCAL = 0;
const PROXY = 1;
const TCP4 = 0x11;
const TCP6 = 0x21;

const TYPE = { alpn: 0x01, authority: 0x02, ssl: 0x20, sslVersion: 0x21, sslCipher: 0x23 } as const;
/** In the TLV of TLS: the client came over it, and no certificate of its own was verified. */
const CLIENT_SSL = 0x01;
const NOT_VERIFIED = 1;

/** A connection of the proxy's own: of a health check, say. */
export const LOCAL_HEADER = header(LOCAL, 0, []);

/** The header for a visitor's connection; the one of a local connection if the visitor's address is not known. */
export function proxyHeader({ remote, local, tls }: ProxiedConnection): Buffer {
  const [from, to] = [toBytes(remote.address), toBytes(local.address)];
  if (!from) return LOCAL_HEADER;
  // The two are of one family: an address that is not known is none of either.
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

/** 4 or 16 bytes; a v4-mapped address is the IPv4 address that it stands for. undefined for what is no address. */
function toBytes(address: string): Buffer | undefined {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address)) return undefined;
  // Without the zone; and the tail that may be written as IPv4 in hex like the rest.
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
