import { readVarint, varintBytes, varintEnd, writeVarint } from './varint.js';

/**
 * Frames: the messages between the two ends of a datagram carrier. A packet, or a message of the WebSocket carrier, contains
 * one or more. Bytes in, calls out; no I/O.
 */

export const FRAME = {
  /** Padding up to the end. */
  padding: 0,
  /** Asks whether the other end is there, and names the path for datagrams. */
  probe: 1,
  probeReply: 2,
  /** Starts a flow, with its visitor. Precedes the flow's frames until the agent sends `opened`. */
  open: 3,
  opened: 4,
  /** The flow has ended; from an agent also: the flow is unknown. */
  close: 5,
  /** One datagram. */
  data: 6,
  /** A fragment of a datagram that is too large for the path. */
  fragment: 7,
} as const;

/** A visitor of a UDP lease. */
export interface FlowAddress {
  /** IP address in text, IPv4 as IPv4, without a zone. */
  readonly address: string;
  readonly port: number;
}

export interface FrameSink {
  /** `use`: the agent wants its datagrams on the path of this probe. */
  probe(sequence: number, use: boolean): void;
  probeReply(sequence: number): void;
  open(flow: number, lease: string, visitor: FlowAddress): void;
  opened(flow: number): void;
  close(flow: number): void;
  /** The payload is a view of the packet: copy it to keep it. */
  data(flow: number, payload: Buffer): void;
  fragment(flow: number, datagram: number, index: number, count: number, payload: Buffer): void;
}

const LEASE_ID_BYTES = 16;
/** Fragments of one datagram; 65,507 bytes in packets of 1,200 need 58. */
export const MAX_FRAGMENTS = 64;

/** Passes every frame of `bytes` to `sink`. False if `bytes` are malformed; `sink` got the frames before the fault. */
export function readFrames(bytes: Buffer, sink: FrameSink): boolean {
  let at = 0;
  while (at < bytes.length) {
    const kind = bytes[at]!;
    if (kind === FRAME.padding) return true;
    // Each frame starts with a number: of its flow, or of the probe.
    const id = readVarint(bytes, at + 1);
    if (id < 0) return false;
    at = varintEnd();
    switch (kind) {
      case FRAME.data: {
        const length = readVarint(bytes, at);
        at = varintEnd();
        if (length < 0 || at + length > bytes.length) return false;
        sink.data(id, bytes.subarray(at, at + length));
        at += length;
        break;
      }
      case FRAME.fragment: {
        at = readFragment(bytes, at, id, sink);
        if (at < 0) return false;
        break;
      }
      case FRAME.open: {
        at = readOpen(bytes, at, id, sink);
        if (at < 0) return false;
        break;
      }
      case FRAME.probe: {
        const use = bytes[at++];
        if (use === undefined || use > 1) return false;
        sink.probe(id, use === 1);
        break;
      }
      case FRAME.probeReply:
        sink.probeReply(id);
        break;
      case FRAME.opened:
        sink.opened(id);
        break;
      case FRAME.close:
        sink.close(id);
        break;
      default:
        return false;
    }
  }
  return true;
}

function readFragment(bytes: Buffer, start: number, flow: number, sink: FrameSink): number {
  const datagram = readVarint(bytes, start);
  if (datagram < 0) return -1;
  let at = varintEnd();
  const index = bytes[at++];
  const count = bytes[at++];
  if (index === undefined || count === undefined) return -1;
  if (count < 2 || count > MAX_FRAGMENTS || index >= count) return -1;
  const length = readVarint(bytes, at);
  at = varintEnd();
  if (length < 1 || at + length > bytes.length) return -1;
  sink.fragment(flow, datagram, index, count, bytes.subarray(at, at + length));
  return at + length;
}

function readOpen(bytes: Buffer, start: number, flow: number, sink: FrameSink): number {
  let at = start + LEASE_ID_BYTES;
  const family = bytes[at++];
  if (family !== 4 && family !== 6) return -1;
  const addressEnd = at + (family === 4 ? 4 : 16);
  if (addressEnd + 2 > bytes.length) return -1;
  const lease = uuidText(bytes, start);
  const address = family === 4 ? ipv4Text(bytes, at) : ipv6Text(bytes, at);
  sink.open(flow, lease, { address, port: bytes.readUInt16BE(addressEnd) });
  return addressEnd + 2;
}

// --- writing: each function returns the position after the frame; the caller makes sure that it fits

/** The most bytes that a frame needs in addition to its payload. */
export const FRAGMENT_OVERHEAD = 1 + 8 + 8 + 2 + 4;
export const OPEN_BYTES = 1 + 8 + LEASE_ID_BYTES + 1 + 16 + 2;
export const SHORT_FRAME_BYTES = 1 + 8 + 1;

export function dataBytes(flow: number, length: number): number {
  return 1 + varintBytes(flow) + varintBytes(length) + length;
}

export function writeData(bytes: Buffer, start: number, flow: number, payload: Uint8Array): number {
  bytes[start] = FRAME.data;
  let at = writeVarint(bytes, start + 1, flow);
  at = writeVarint(bytes, at, payload.length);
  bytes.set(payload, at);
  return at + payload.length;
}

export function writeFragment(
  bytes: Buffer,
  start: number,
  flow: number,
  fragment: { datagram: number; index: number; count: number; payload: Uint8Array },
): number {
  const { datagram, index, count, payload } = fragment;
  bytes[start] = FRAME.fragment;
  let at = writeVarint(bytes, start + 1, flow);
  at = writeVarint(bytes, at, datagram);
  bytes[at++] = index;
  bytes[at++] = count;
  at = writeVarint(bytes, at, payload.length);
  bytes.set(payload, at);
  return at + payload.length;
}

export function writeProbe(bytes: Buffer, start: number, sequence: number, use: boolean): number {
  bytes[start] = FRAME.probe;
  const at = writeVarint(bytes, start + 1, sequence);
  bytes[at] = use ? 1 : 0;
  return at + 1;
}

/** A frame with a number and no payload. */
export function writeShort(
  bytes: Buffer,
  start: number,
  kind: (typeof FRAME)['probeReply' | 'opened' | 'close'],
  id: number,
): number {
  bytes[start] = kind;
  return writeVarint(bytes, start + 1, id);
}

/** The `open` frame of a flow without its number, encoded once per flow. */
export function encodeOpening(lease: string, { address, port }: FlowAddress): Buffer {
  const ip = address.includes(':') ? ipv6Bytes(address) : ipv4Bytes(address);
  const out = Buffer.alloc(LEASE_ID_BYTES + 1 + ip.length + 2);
  out.write(lease.replaceAll('-', ''), 0, LEASE_ID_BYTES, 'hex');
  out[LEASE_ID_BYTES] = ip.length === 4 ? 4 : 6;
  out.set(ip, LEASE_ID_BYTES + 1);
  out.writeUInt16BE(port, out.length - 2);
  return out;
}

export function writeOpen(bytes: Buffer, start: number, flow: number, opening: Buffer): number {
  bytes[start] = FRAME.open;
  const at = writeVarint(bytes, start + 1, flow);
  bytes.set(opening, at);
  return at + opening.length;
}

// --- addresses and ids

function uuidText(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + LEASE_ID_BYTES);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function ipv4Text(bytes: Buffer, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

function ipv4Bytes(address: string): number[] {
  return address.split('.').map(Number);
}

/** The eight groups, shortened as in RFC 5952. */
function ipv6Text(bytes: Buffer, at: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(at + 2 * i).toString(16));
  const zeros = [...groups.join(':').matchAll(/\b0(?::0)+\b/g)];
  if (zeros.length === 0) return groups.join(':');
  const longest = zeros.reduce((a, b) => (b[0].length > a[0].length ? b : a));
  const text = groups.join(':');
  const before = text.slice(0, longest.index).replace(/:$/, '');
  const after = text.slice(longest.index + longest[0].length).replace(/^:/, '');
  return `${before}::${after}`;
}

function ipv6Bytes(address: string): Buffer {
  const out = Buffer.alloc(16);
  // A dotted tail (RFC 4291 §2.2) is two groups.
  const text = address.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, a, b, c, d) => `${hexGroup(a, b)}:${hexGroup(c, d)}`,
  );
  const [head = '', tail = ''] = text.split('::', 2);
  const first = head === '' ? [] : head.split(':');
  const last = tail === '' ? [] : tail.split(':');
  for (const [i, group] of first.entries()) out.writeUInt16BE(Number.parseInt(group, 16), 2 * i);
  for (const [i, group] of last.entries()) {
    out.writeUInt16BE(Number.parseInt(group, 16), 2 * (8 - last.length + i));
  }
  return out;
}

function hexGroup(high: string, low: string): string {
  return ((Number(high) << 8) | Number(low)).toString(16);
}
