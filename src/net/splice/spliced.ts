import type { Socket } from 'node:net';
import { activeNow } from '../../lib/stalls.js';
import type { Conversation } from '../conversation/conversation.js';
import { pour, type Pouring } from './pour.js';
import { pourAt, type ByteRate } from '../rate.js';
import { resetBehind, resetSocket } from './reset.js';
import type { Retirable } from './retirement.js';

export type SpliceEnd = 'ended' | 'reset' | 'idle' | 'lifetime' | 'no_response' | 'closed';

export interface SpliceResult {
  readonly end: SpliceEnd;
  /** Bytes from `a` to `b`. */
  readonly bytesToB: number;
  /** Bytes from `b` to `a`. */
  readonly bytesToA: number;
}

/** One splice, to read its counters and to close it. */
export interface Spliced {
  readonly bytesToA: number;
  readonly bytesToB: number;
  /** Whether another process counts its bytes and its end, because both forward them. */
  readonly isCountedElsewhere: boolean;
  close(end: SpliceEnd): void;
}

export interface SpliceOptions {
  /** Called once both sockets are closed. */
  readonly onEnd?: (result: SpliceResult) => void;
  /** Bytes of `a` that were already written to `b`. */
  readonly sentToB?: number;
  /** The owner, for `closeOf`. */
  readonly owner?: string;
  /** As in `Spliced`. Default: false. */
  readonly isCountedElsewhere?: boolean;
  /** The rate limit of both directions together. Several splices may share it. */
  readonly rate?: ByteRate | undefined;
  /** Follows the conversation, with `a` as the visitor. Cannot be combined with a rate. */
  readonly conversation?: Conversation | undefined;
}

/** A peer's end may arrive this much later than its last bytes, when a packet is lost. */
const LATE_END_MS = 5_000;

/** Two joined sockets, as SpliceSet describes. */
export class Splice implements Spliced, Retirable {
  readonly #a: Socket;
  readonly #b: Socket;
  readonly #onEnd: (result: SpliceResult) => void;
  /** Bytes that each side received before the splice and that do not count (for example an upgrade's head). */
  readonly #bytesBefore: { a: number; b: number };
  #open = 2;
  #end: SpliceEnd = 'ended';
  readonly #pourings: readonly Pouring[];
  readonly owner: string | undefined;
  readonly isCountedElsewhere: boolean;
  readonly conversation: Conversation | undefined;
  readonly startedAt: number;
  movedAt: number;
  endedAt: number | undefined;
  #moved = 0;

  constructor(
    a: Socket,
    b: Socket,
    { sentToB = 0, owner, isCountedElsewhere = false, rate, conversation }: SpliceOptions,
    now: number,
    onEnd: (result: SpliceResult) => void,
  ) {
    this.#a = a;
    this.#b = b;
    this.#onEnd = onEnd;
    this.owner = owner;
    this.isCountedElsewhere = isCountedElsewhere;
    this.conversation = conversation;
    this.startedAt = now;
    this.movedAt = now;
    // The socket has already counted the bytes in its read buffer, but they belong to this splice.
    this.#bytesBefore = { a: a.bytesRead - a.readableLength - sentToB, b: b.bytesRead - b.readableLength };
    this.#join(a, b);
    this.#join(b, a);
    if (rate) {
      pourAt(rate, a, b);
      pourAt(rate, b, a);
      this.#pourings = [];
    } else if (conversation) {
      this.#pourings = [
        pour(a, b, (bytes, start, end) => conversation.visitorSent(bytes, start, end)),
        pour(b, a, (bytes, start, end) => conversation.targetSent(bytes, start, end)),
      ];
    } else this.#pourings = [pour(a, b), pour(b, a)];
  }

  get bytesToB(): number {
    return this.#a.bytesRead - this.#bytesBefore.a;
  }

  get bytesToA(): number {
    return this.#b.bytesRead - this.#bytesBefore.b;
  }

  get answered(): boolean {
    return this.bytesToA > 0;
  }

  get isWritten(): boolean {
    return this.#a.writableLength === 0 && this.#b.writableLength === 0;
  }

  get halfClosed(): boolean {
    return this.#a.readableEnded || this.#b.readableEnded;
  }

  /** Whether a clean close now cannot look like the end of an incomplete message. */
  get isBetweenMessages(): boolean {
    const { progress } = this.conversation ?? {};
    return progress === 'between' || progress === 'endless';
  }

  /** Whether its visitor learns from a response that the connection ends. */
  get canAnnounceEnd(): boolean {
    return this.conversation?.closing !== undefined;
  }

  /** Records whether bytes moved since the last check. */
  check(now: number): void {
    const moved = this.#a.bytesRead + this.#b.bytesRead;
    if (moved !== this.#moved) {
      this.#moved = moved;
      this.movedAt = now;
    } else {
      for (const pouring of this.#pourings) pouring.releaseBuffer();
    }
  }

  /** Ends both directions in order. Later input is dropped, and the sockets close when their peers do. */
  end(): void {
    if (this.endedAt !== undefined) return;
    this.endedAt = activeNow();
    for (const pouring of this.#pourings) pouring.finish();
    this.#a.end();
    this.#b.end();
  }

  endAfterExchange(): void {
    const { conversation } = this;
    conversation?.onceExchanged?.(() => this.end());
    const [, toVisitor] = this.#pourings;
    if (toVisitor) toVisitor.rewrite = (bytes, start, end) => conversation?.closing?.(bytes, start, end);
  }

  close(end: SpliceEnd): void {
    this.#end = end;
    resetSocket(this.#a);
    resetSocket(this.#b);
  }

  #join(from: Socket, to: Socket): void {
    let hasLeft = false;
    const fail = (): void => {
      if (this.#end === 'ended') this.#end = 'reset';
      resetBehind(to);
    };
    const failed = (): void => {
      hasLeft = from.readableEnded && this.#end === 'ended';
      if (hasLeft) this.#finishOther(from, to, fail);
      else fail();
    };
    const closed = (): void => {
      // It closed before it had sent and received everything. The other side must not see a clean close.
      if (!hasLeft && (!from.readableEnded || !from.writableFinished)) fail();
      if (--this.#open === 0) {
        this.#onEnd({ end: this.#end, bytesToA: this.bytesToA, bytesToB: this.bytesToB });
      }
    };
    from.on('error', failed);
    // It may have closed before the listener was added.
    if (from.closed) queueMicrotask(closed);
    else from.on('close', closed);
  }

  /**
   * `from` ended cleanly and closed, which a reset in response to a later end of TLS reveals. Its bytes are
   * complete, so `to` gets all of them: a reset would make every system on the path drop the rest. Resets `to` only
   * if it does not end soon.
   */
  #finishOther(from: Socket, to: Socket, fail: () => void): void {
    this.#pourings[from === this.#a ? 1 : 0]?.finish();
    if (to.readableEnded) return;
    const timer = setTimeout(fail, LATE_END_MS);
    to.once('end', () => clearTimeout(timer));
    to.once('close', () => clearTimeout(timer));
  }
}
