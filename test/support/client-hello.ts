import { Duplex } from 'node:stream';
import { connect, type ConnectionOptions } from 'node:tls';
import { deferred } from '../../src/lib/wait.js';

/** The fields of a handmade ClientHello. Each defaults to an ordinary value. */
export interface HelloParts {
  serverName?: string;
  alpn?: readonly string[];
  /** Further extensions, sent unchanged before server_name and ALPN. */
  extensions?: readonly { readonly type: number; readonly data: Buffer }[];
  sessionId?: Buffer;
  cipherSuites?: readonly number[];
}

/** A ClientHello handshake message (RFC 8446 §4.1.2), without record headers. */
export function buildClientHello(parts: HelloParts = {}): Buffer {
  const extensions = (parts.extensions ?? []).map(({ type, data }) => extension(type, data));
  if (parts.serverName !== undefined) extensions.push(extension(0, serverNames([0, parts.serverName])));
  if (parts.alpn !== undefined) extensions.push(extension(16, alpnList(parts.alpn)));
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    vector(1, parts.sessionId ?? Buffer.alloc(32, 9)),
    vector(2, Buffer.concat((parts.cipherSuites ?? [0x1301, 0x1302]).map((suite) => u16(suite)))),
    vector(1, Buffer.from([0])),
    vector(2, Buffer.concat(extensions)),
  ]);
  return Buffer.concat([Buffer.from([1]), vector(3, body)]);
}

/** The content of a server_name extension with the given [name type, name] entries (RFC 6066 §3). */
export function serverNames(...entries: readonly [number, string][]): Buffer {
  const names = entries.map(([type, name]) =>
    Buffer.concat([Buffer.from([type]), vector(2, Buffer.from(name, 'latin1'))]),
  );
  return vector(2, Buffer.concat(names));
}

/** The content of an ALPN extension (RFC 7301 §3.1). */
export function alpnList(protocols: readonly string[]): Buffer {
  return vector(2, Buffer.concat(protocols.map((name) => vector(1, Buffer.from(name, 'latin1')))));
}

/** Bytes after their own length, in a field of `width` bytes. */
export function vector(width: 1 | 2 | 3, content: Buffer): Buffer {
  const length = Buffer.alloc(width);
  length.writeUIntBE(content.length, 0, width);
  return Buffer.concat([length, content]);
}

function extension(type: number, data: Buffer): Buffer {
  return Buffer.concat([u16(type), vector(2, data)]);
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

/** Handshake bytes in TLS records of the given sizes; the last size repeats until all is sent. */
export function intoRecords(handshake: Buffer, sizes: readonly number[] = [2 ** 14]): Buffer {
  const records: Buffer[] = [];
  for (let at = 0, i = 0; at < handshake.length; i++) {
    const size = sizes[Math.min(i, sizes.length - 1)]!;
    records.push(Buffer.from([22, 3, 1]), vector(2, handshake.subarray(at, at + size)));
    at += size;
  }
  return Buffer.concat(records);
}

/** The handshake bytes of whole TLS records, without their headers: the inverse of `intoRecords`. */
export function outOfRecords(records: Buffer): Buffer {
  const fragments: Buffer[] = [];
  for (let at = 0; at < records.length;) {
    const end = at + 5 + records.readUInt16BE(at + 3);
    fragments.push(records.subarray(at + 5, end));
    at = end;
  }
  return Buffer.concat(fragments);
}

/** The bytes with which Node's TLS client opens a connection, as a server receives them. */
export async function captureClientHello(options: ConnectionOptions): Promise<Buffer> {
  const written = deferred<Buffer>();
  let bytes = Buffer.alloc(0);
  const wire = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      bytes = Buffer.concat([bytes, chunk]);
      if (isWhole(bytes)) written.resolve(bytes);
      done();
    },
  });
  const client = connect({ ...options, socket: wire });
  client.once('error', (error) => written.reject(error));
  try {
    return await written.promise;
  } finally {
    client.destroy();
  }
}

/** True when the records contain the whole handshake message that they begin. */
function isWhole(bytes: Buffer): boolean {
  if (bytes.length < 9) return false;
  const message = 4 + bytes.readUIntBE(6, 3);
  let gathered = 0;
  let at = 0;
  while (at + 5 <= bytes.length && at + 5 + bytes.readUInt16BE(at + 3) <= bytes.length) {
    gathered += bytes.readUInt16BE(at + 3);
    at += 5 + bytes.readUInt16BE(at + 3);
  }
  return gathered >= message;
}
