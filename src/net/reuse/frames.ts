/**
 * The frames of a data connection that serves several visitors: a byte for the type, three for the length, and the
 * payload. docs/reference/protocol.md describes them. After `raw` or `startRaw`, a direction has no more frames.
 */

const TYPES = {
  /** From the relay: a visitor begins. */
  start: 0x01,
  /** From the agent: a ticket for the next visitor. */
  ticket: 0x02,
  /** Bytes of the visit. */
  data: 0x03,
  /** No more bytes of this visit from here: a half-close. */
  end: 0x04,
  /** The rest of this direction is unframed. */
  raw: 0x05,
  /** From the relay: a visitor begins, and both directions are unframed. */
  startRaw: 0x06,
} as const;

export type FrameType = keyof typeof TYPES;

const FRAME_HEADER_BYTES = 4;
const MAX_TICKET_BYTES = 128;
/** The longest payload, by type. Data passes through in parts, so a long frame needs no memory. */
const MAX_BYTES: Readonly<Partial<Record<FrameType, number>>> = {
  ticket: MAX_TICKET_BYTES,
  data: 2 ** 24 - 1,
};

const NAMES = new Map(Object.entries(TYPES).map(([name, type]) => [type as number, name as FrameType]));

/** The header of a frame whose payload has `length` bytes, at most `2 ** 24 - 1`. */
export function frameHeader(type: FrameType, length = 0): Buffer {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  header[0] = TYPES[type];
  header.writeUIntBE(length, 1, FRAME_HEADER_BYTES - 1);
  return header;
}

/** Takes a frame, or the next part of a `data` frame's payload. Returns whether to continue. */
export type TakeFrame = (type: FrameType, payload: Buffer) => boolean;

const NOTHING = Buffer.alloc(0);

/** Reads the frames of one direction from chunks of any size. */
export class FrameReader {
  /** The incomplete header, or the incomplete payload of a `ticket`. */
  #partial: Buffer = NOTHING;
  #type: FrameType | undefined;
  /** Bytes of the current payload that have not arrived. */
  #left = 0;
  #isRaw = false;

  /** Passes each frame of `chunk` to `take`, in order. Returns false at a malformed frame; then read no further. */
  read(chunk: Buffer, take: TakeFrame): boolean {
    for (let at = 0; at < chunk.length;) {
      if (this.#isRaw) {
        take('data', at === 0 ? chunk : chunk.subarray(at));
        return true;
      }
      if (this.#type === undefined) {
        at = this.#addTo(chunk, at, FRAME_HEADER_BYTES);
        if (this.#partial.length < FRAME_HEADER_BYTES) return true;
        if (!this.#begin()) return false;
        if (this.#left === 0 && !this.#pass(take, NOTHING)) return true;
        continue;
      }
      const end = Math.min(chunk.length, at + this.#left);
      const part = chunk.subarray(at, end);
      this.#left -= part.length;
      at = end;
      if (this.#type === 'data') {
        const isLast = this.#left === 0;
        if (isLast) this.#type = undefined;
        if (!take('data', part)) return true;
      } else {
        this.#partial = Buffer.concat([this.#partial, part]);
        if (this.#left === 0 && !this.#pass(take, this.#partial)) return true;
      }
    }
    return true;
  }

  /** Adds to the incomplete header until it has `length` bytes. Returns where `chunk` continues. */
  #addTo(chunk: Buffer, at: number, length: number): number {
    const end = Math.min(chunk.length, at + length - this.#partial.length);
    const part = chunk.subarray(at, end);
    this.#partial = this.#partial.length === 0 ? part : Buffer.concat([this.#partial, part]);
    return end;
  }

  /** Begins the frame whose header is complete. Returns false if it is malformed. */
  #begin(): boolean {
    const type = NAMES.get(this.#partial[0]!);
    const length = this.#partial.readUIntBE(1, FRAME_HEADER_BYTES - 1);
    this.#partial = NOTHING;
    if (!type) return false;
    const { [type]: max = 0 } = MAX_BYTES;
    if (length > max || (length === 0 && max > 0)) return false;
    this.#type = type;
    this.#left = length;
    return true;
  }

  #pass(take: TakeFrame, payload: Buffer): boolean {
    const type = this.#type!;
    this.#type = undefined;
    this.#partial = NOTHING;
    this.#isRaw = type === 'raw' || type === 'startRaw';
    return take(type, payload);
  }
}
