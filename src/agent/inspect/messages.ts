import { Inflater } from './inflate.js';
import type { WsMessage } from './wire.js';

/** Reads the WebSocket messages of one connection from the passing bytes (RFC 6455, section 5). */

const KINDS: Readonly<Record<number, WsMessage['kind']>> = {
  1: 'text',
  2: 'binary',
  8: 'close',
  9: 'ping',
  10: 'pong',
};

export interface MessageLimits {
  /** Stored messages; the oldest are removed. */
  readonly maxMessages: number;
  /** Stored bytes per message. */
  readonly maxMessageBytes: number;
  /** Size limit of an inflated message. */
  readonly maxInflatedBytes: number;
}

export interface KeptMessage {
  readonly from: WsMessage['from'];
  readonly kind: WsMessage['kind'];
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly isCompressed: boolean;
  bytes: number;
  parts: Uint8Array[];
  keptBytes: number;
  /** Only a part is stored. */
  isCut: boolean;
  /** Its last frame has passed. */
  isWhole: boolean;
  /** `text`: the stored bytes are inflated. `lost`: data that it refers to is not stored. */
  inflated?: 'text' | 'lost';
}

/** Owns the messages of one connection. */
export class MessageLog {
  readonly #limits: MessageLimits;
  readonly #admits: (bytes: number) => boolean;
  readonly #onKept: (bytes: number) => void;
  readonly #inflaters;
  #messages: KeptMessage[] = [];
  /** Messages before the stored ones. */
  dropped = 0;

  /**
   * @param admits whether that many more bytes may be stored now
   * @param onKept called with the change in stored bytes
   */
  constructor(limits: MessageLimits, admits: (bytes: number) => boolean, onKept: (bytes: number) => void) {
    this.#limits = limits;
    this.#admits = admits;
    this.#onKept = onKept;
    this.#inflaters = {
      visitor: new Inflater(limits.maxInflatedBytes, admits),
      service: new Inflater(limits.maxInflatedBytes, admits),
    };
  }

  /** A log of stored messages, which accepts no more. */
  static of(messages: KeptMessage[], dropped: number): MessageLog {
    const limits = { maxMessages: messages.length, maxMessageBytes: 0, maxInflatedBytes: 0 };
    const log = new MessageLog(
      limits,
      () => false,
      () => undefined,
    );
    log.#messages = messages;
    log.dropped = dropped;
    return log;
  }

  /** The stored messages, inflated where possible. Only readers cause this work. */
  read(): readonly KeptMessage[] {
    this.#inflate(this.#messages);
    return this.#messages;
  }

  begin(message: KeptMessage): void {
    this.#messages.push(message);
    if (this.#messages.length <= this.#limits.maxMessages) return;
    // In batches, because removing the first element of an array each time is slow. Incomplete messages stay.
    const older = this.#messages.slice(0, this.#messages.length - this.#limits.maxMessages / 2);
    const gone = older.filter(({ isWhole }) => isWhole);
    // The remaining messages may refer to them.
    this.#inflate(gone);
    this.#messages = [...older.filter((each) => !each.isWhole), ...this.#messages.slice(older.length)];
    this.dropped += gone.length;
    this.#onKept(-gone.reduce((sum, { keptBytes }) => sum + keptBytes, 0));
  }

  keep(message: KeptMessage, part: Buffer, unmask: (bytes: Uint8Array) => void): void {
    message.bytes += part.length;
    const room = Math.min(part.length, this.#limits.maxMessageBytes - message.keptBytes);
    if (room <= 0 || message.isCut || !this.#admits(room)) {
      message.isCut = true;
      return;
    }
    message.isCut = room < part.length;
    const kept = Uint8Array.prototype.slice.call(part, 0, room);
    unmask(kept);
    message.parts.push(kept);
    message.keptBytes += kept.length;
    this.#onKept(kept.length);
  }

  #inflate(messages: readonly KeptMessage[]): void {
    for (const message of messages) {
      if (message.isCompressed && message.isWhole && !message.inflated) this.#inflateOne(message);
    }
  }

  #inflateOne(message: KeptMessage): void {
    const { isCut, keptBytes, parts, from } = message;
    const text = this.#inflaters[from].take(Buffer.concat(parts), !isCut);
    message.inflated = text ? 'text' : 'lost';
    if (!text) return;
    // Copied, because the window changes with the next message.
    message.parts = [Uint8Array.prototype.slice.call(text, 0, this.#limits.maxMessageBytes)];
    message.keptBytes = message.parts[0]!.length;
    message.isCut = isCut || text.length > message.keptBytes;
    if (message.keptBytes !== keptBytes) this.#onKept(message.keptBytes - keptBytes);
  }
}

const HEAD_BYTES = 14;

/** Reads one direction without changing it. Bytes that are not WebSocket frames only stop the recording. */
export class FrameReader {
  readonly #from: WsMessage['from'];
  readonly #log: MessageLog;
  readonly #head = Buffer.alloc(HEAD_BYTES);
  #headBytes = 0;
  /** Payload bytes left of the current frame. */
  #left = 0;
  #at = 0;
  /** Whether the current frame is the last of its message. */
  #isFinal = false;
  #mask: Uint8Array | undefined;
  #message: KeptMessage | undefined;
  /** The message between whose frames a control frame may occur. */
  #fragmented: KeptMessage | undefined;
  #hasStopped = false;

  constructor(from: WsMessage['from'], log: MessageLog) {
    this.#from = from;
    this.#log = log;
  }

  read(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0 && !this.#hasStopped) {
      if (this.#left > 0) {
        const part = rest.subarray(0, this.#left);
        const at = this.#at;
        this.#log.keep(this.#message!, part, (bytes) => this.#unmask(bytes, at));
        this.#left -= part.length;
        this.#at += part.length;
        this.#end();
        rest = rest.subarray(part.length);
      } else rest = this.#readHead(rest);
    }
  }

  #readHead(rest: Buffer): Buffer {
    const taken = rest.subarray(0, this.#missing());
    taken.copy(this.#head, this.#headBytes);
    this.#headBytes += taken.length;
    if (this.#headBytes >= 2 && this.#missing() === 0) this.#begin();
    return rest.subarray(taken.length);
  }

  /** Bytes until the frame head is complete, as far as known. */
  #missing(): number {
    if (this.#headBytes < 2) return 2 - this.#headBytes;
    const length = this.#head[1]! & 0x7f;
    const extended = length === 126 ? 2 : length === 127 ? 8 : 0;
    const mask = this.#head[1]! & 0x80 ? 4 : 0;
    return 2 + extended + mask - this.#headBytes;
  }

  #begin(): void {
    const [first, second] = [this.#head[0]!, this.#head[1]!];
    const opcode = first & 0x0f;
    const short = second & 0x7f;
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
    const length = extended === 2 ? this.#head.readUInt16BE(2) : extended === 8 ? this.#long() : short;
    this.#mask = second & 0x80 ? Uint8Array.from(this.#head.subarray(2 + extended, 6 + extended)) : undefined;
    this.#headBytes = 0;
    this.#left = length;
    this.#at = 0;
    const isFinal = (first & 0x80) !== 0;
    this.#isFinal = isFinal;
    const message = opcode === 0 ? this.#fragmented : this.#begun(opcode, (first & 0x40) !== 0);
    this.#message = message;
    this.#hasStopped = message === undefined || !Number.isSafeInteger(length);
    if (opcode < 8) this.#fragmented = isFinal ? undefined : message;
    this.#end();
  }

  #end(): void {
    if (this.#message && this.#left === 0 && this.#isFinal) this.#message.isWhole = true;
  }

  #begun(opcode: number, isCompressed: boolean): KeptMessage | undefined {
    const kind = KINDS[opcode];
    if (!kind) return undefined;
    const message = {
      from: this.#from,
      kind,
      at: Date.now(),
      isCompressed,
      bytes: 0,
      parts: [],
      keptBytes: 0,
      isCut: false,
      isWhole: false,
    };
    this.#log.begin(message);
    return message;
  }

  #long(): number {
    return Number(this.#head.readBigUInt64BE(2));
  }

  #unmask(bytes: Uint8Array, at: number): void {
    const mask = this.#mask;
    if (!mask) return;
    for (let i = 0; i < bytes.length; i++) bytes[i]! ^= mask[(at + i) & 3]!;
  }
}

/** The messages for the page. */
export function messagesOf(log: MessageLog): WsMessage[] {
  return log.read().map(({ from, kind, at, isCompressed, bytes, parts, keptBytes, isCut, inflated }) => ({
    from,
    kind,
    at,
    bytes,
    keptBytes,
    ...(isCut && { cut: true as const }),
    ...(isCompressed && {
      compressed: inflated === 'text' ? ('inflated' as const) : ('compressed' as const),
    }),
    body: Buffer.concat(parts).toString('base64'),
  }));
}
