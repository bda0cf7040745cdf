import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { onTestFinished } from 'vitest';
import { connectTo, HOST, type Edge } from './http-edge.js';

/** HTTP/2 frames as they are on the wire: Node's client and server hide how a stream ended. */

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const WINDOW_UPDATE = 8;
export const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION] = [
  0, 1, 3, 4, 6, 7, 9,
] as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function rstStream(stream: number, code: number): Buffer {
  return frame(RST_STREAM, 0, stream, uint32(code));
}

export function windowUpdate(stream: number, bytes: number): Buffer {
  return frame(WINDOW_UPDATE, 0, stream, uint32(bytes));
}

export function goaway(lastStream: number, code: number): Buffer {
  return frame(GOAWAY, 0, 0, Buffer.concat([uint32(lastStream), uint32(code)]));
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** An HPACK string without Huffman coding (RFC 7541, 5.2). */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length: number[] = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

/** Header fields in HPACK's simplest form: literal, never indexed (RFC 7541, 6.2.3). */
export function fields(pairs: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    pairs.map(([name, value]) => Buffer.concat([Buffer.from([0x10]), text(name), text(value)])),
  );
}

export const GET = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':path', '/'],
  [':authority', HOST],
] as const;

export const POST = [[':method', 'POST'], ...GET.slice(1)] as readonly (readonly [string, string])[];

/** Calls `take` for each frame that arrives on `socket`, after `skip` bytes. */
function readFrames(socket: Duplex, skip: number, take: (frame: Frame) => void): void {
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (skip > 0) {
      if (bytes.length < skip) return;
      bytes = bytes.subarray(skip);
      skip = 0;
    }
    while (bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
      const length = bytes.readUIntBE(0, 3);
      const payload = Buffer.from(bytes.subarray(9, 9 + length));
      const [type, flags] = [bytes[3]!, bytes[4]!];
      const stream = bytes.readUInt32BE(5);
      bytes = bytes.subarray(9 + length);
      take({ type, flags, stream, payload });
    }
  });
}

/** How a stream ended: `END_STREAM`, `RST_STREAM(code)`, or `closed` with its connection. */
export function endOf(frames: readonly Frame[], stream: number, isClosed: boolean): string | undefined {
  for (const { type, flags, stream: id, payload } of frames) {
    if (id !== stream) continue;
    if (type === RST_STREAM) return `RST_STREAM(${payload.readUInt32BE(0)})`;
    if ((type === DATA || type === HEADERS) && flags & END_STREAM) return 'END_STREAM';
  }
  return isClosed ? 'closed' : undefined;
}

export const bodyOf = (frames: readonly Frame[], stream: number): string =>
  Buffer.concat(
    frames.filter((one) => one.type === DATA && one.stream === stream).map(({ payload }) => payload),
  ).toString();

/** A visitor that sends frames and records those that arrive. */
export interface FrameVisitor {
  readonly socket: Socket;
  readonly frames: Frame[];
  readonly isClosed: boolean;
  send(...frames: Buffer[]): void;
  /** How a stream ended, so far. */
  end(stream: number): string | undefined;
  body(stream: number): string;
}

export async function frameVisitor(at: Edge): Promise<FrameVisitor> {
  const socket = await connectTo(at, 'h2');
  const frames: Frame[] = [];
  let isClosed = false;
  readFrames(socket, 0, (one) => frames.push(one));
  socket.once('close', () => (isClosed = true));
  socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)]));
  return {
    socket,
    frames,
    get isClosed() {
      return isClosed;
    },
    send: (...sent) => void socket.write(Buffer.concat(sent)),
    end: (stream) => endOf(frames, stream, isClosed),
    body: (stream) => bodyOf(frames, stream),
  };
}

/** One connection to a target that speaks HTTP/2 in frames. */
export interface FrameConnection {
  readonly socket: Socket;
  readonly frames: Frame[];
  readonly isClosed: boolean;
}

/**
 * A target that speaks only HTTP/2 without TLS, and sends frames that the test decides: `onFrame` is called for each
 * frame on each connection.
 */
export async function frameTarget(
  onFrame: (one: Frame, connection: FrameConnection) => void,
): Promise<{ port: number; connections: FrameConnection[] }> {
  const connections: FrameConnection[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (first: Buffer) => {
      if (!first.toString('latin1').startsWith('PRI')) {
        socket.destroy();
        return;
      }
      let isClosed = false;
      const connection: FrameConnection = {
        socket,
        frames: [],
        get isClosed() {
          return isClosed;
        },
      };
      socket.once('close', () => (isClosed = true));
      connections.push(connection);
      readFrames(socket, PREFACE.length, (one) => {
        connection.frames.push(one);
        onFrame(one, connection);
      });
      socket.unshift(first);
      socket.write(frame(SETTINGS, 0, 0));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const { socket } of connections) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, connections };
}
