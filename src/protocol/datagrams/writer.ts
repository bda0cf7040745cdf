import { LIMITS } from '../limits.js';
import {
  dataBytes,
  FRAGMENT_OVERHEAD,
  MAX_FRAGMENTS,
  OPEN_BYTES,
  SHORT_FRAME_BYTES,
  FRAME,
  writeData,
  writeFragment,
  writeOpen,
  writeProbe,
  writeShort,
} from './frames.js';
import { DATAGRAM_IDS } from './reassembly.js';

/** A path for frames to the other end, which each carrier provides. */
export interface FramePath {
  /** The most bytes of frames in one packet or message. */
  readonly maxBytes: number;
  /** Sends the frames; false if the path is full. The caller may reuse the bytes afterwards. */
  send(frames: Buffer): boolean;
}

/**
 * Collects frames into as few packets as possible, and sends them at the end of the turn. So frames of one turn travel
 * together, and none waits for later ones.
 */
export class FrameWriter {
  readonly #path: FramePath;
  readonly #onBusy: (datagrams: number) => void;
  readonly #later: (flush: () => void) => void;
  readonly #flush = (): void => {
    this.#scheduled = false;
    this.flush();
  };
  readonly #buffer: Buffer;
  #length = 0;
  /** Datagrams in the buffer, to count them if the path is full. */
  #datagrams = 0;
  #scheduled = false;
  #nextDatagram = 0;

  /** `later` runs a function at the end of the turn. */
  constructor(
    path: FramePath,
    onBusy: (datagrams: number) => void,
    later: (flush: () => void) => void = setImmediate,
  ) {
    this.#path = path;
    this.#onBusy = onBusy;
    this.#later = later;
    this.#buffer = Buffer.allocUnsafeSlow(LIMITS.maxFramesBytes);
  }

  /** Adds a datagram of `flow`. With `opening`, the other end learns the flow even if nothing else arrives. */
  data(flow: number, payload: Uint8Array, opening?: Buffer): void {
    const before = opening ? OPEN_BYTES : 0;
    const bytes = before + dataBytes(flow, payload.length);
    if (bytes > this.#path.maxBytes) return this.#fragments(flow, payload, opening);
    this.#room(bytes);
    if (opening) this.#length = writeOpen(this.#buffer, this.#length, flow, opening);
    this.#length = writeData(this.#buffer, this.#length, flow, payload);
    this.#datagrams++;
  }

  opened(flow: number): void {
    this.#short(FRAME.opened, flow);
  }

  close(flow: number): void {
    this.#short(FRAME.close, flow);
  }

  probeReply(sequence: number): void {
    this.#short(FRAME.probeReply, sequence);
  }

  probe(sequence: number, use: boolean): void {
    this.#room(SHORT_FRAME_BYTES);
    this.#length = writeProbe(this.#buffer, this.#length, sequence, use);
  }

  /** Sends the buffered frames now. */
  flush(): void {
    if (this.#length === 0) return;
    const [length, datagrams] = [this.#length, this.#datagrams];
    this.#length = 0;
    this.#datagrams = 0;
    if (!this.#path.send(this.#buffer.subarray(0, length)) && datagrams > 0) this.#onBusy(datagrams);
  }

  #short(kind: (typeof FRAME)['probeReply' | 'opened' | 'close'], id: number): void {
    this.#room(SHORT_FRAME_BYTES);
    this.#length = writeShort(this.#buffer, this.#length, kind, id);
  }

  #fragments(flow: number, payload: Uint8Array, opening: Buffer | undefined): void {
    const room = this.#path.maxBytes - FRAGMENT_OVERHEAD - (opening ? OPEN_BYTES : 0);
    const count = Math.ceil(payload.length / room);
    if (count > MAX_FRAGMENTS) return this.#onBusy(1);
    const datagram = this.#nextDatagram++ % DATAGRAM_IDS;
    const size = Math.ceil(payload.length / count);
    for (let index = 0; index < count; index++) {
      const piece = payload.subarray(index * size, (index + 1) * size);
      this.#room(piece.length + FRAGMENT_OVERHEAD + (opening ? OPEN_BYTES : 0));
      if (opening) this.#length = writeOpen(this.#buffer, this.#length, flow, opening);
      this.#length = writeFragment(this.#buffer, this.#length, flow, {
        datagram,
        index,
        count,
        payload: piece,
      });
      // The last fragment counts as the datagram.
      if (index === count - 1) this.#datagrams++;
    }
  }

  /** Makes sure that `bytes` more fit, and schedules sending. */
  #room(bytes: number): void {
    if (this.#length + bytes > this.#path.maxBytes) this.flush();
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#later(this.#flush);
  }
}
