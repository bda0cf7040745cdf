import type { Socket } from 'node:net';

/** The burst equals one second of the rate, and at least two reads of a socket. */
const MIN_BURST_BYTES = 128 * 1024;

/**
 * A limit of bytes per second that many connections share: a token bucket (GCRA), stored as the time when all bytes
 * taken are paid for. There is no queue. A connection that took too much gets the time to wait, counted after earlier
 * takers. So connections get equal shares without state per connection.
 */
export class ByteRate {
  readonly #msPerByte: number;
  readonly #burstMs: number;
  #paidAt = 0;

  constructor(bytesPerSecond: number) {
    this.#msPerByte = 1_000 / bytesPerSecond;
    this.#burstMs = Math.max(1_000, MIN_BURST_BYTES * this.#msPerByte);
  }

  /** Whether all bytes taken are paid for, so that the rate can be discarded. */
  get isIdle(): boolean {
    return this.#paidAt <= now();
  }

  /** Takes `bytes` that have already arrived. Returns how many milliseconds to pause reading. */
  take(bytes: number): number {
    const at = now();
    this.#paidAt = Math.max(this.#paidAt, at) + bytes * this.#msPerByte;
    return Math.max(0, this.#paidAt - at - this.#burstMs);
  }

  /** Takes `bytes` if the rate allows them now, for data that cannot wait. */
  tryTake(bytes: number): boolean {
    const at = now();
    const paidAt = Math.max(this.#paidAt, at) + bytes * this.#msPerByte;
    if (paidAt - at > this.#burstMs) return false;
    this.#paidAt = paidAt;
    return true;
  }
}

/** The monotonic clock: a change of the wall clock must not stop a rate. */
const now = (): number => performance.now();

/** `from.pipe(to)`, reading no faster than `rate` allows. TCP's window then slows the sender. */
export function pourAt(rate: ByteRate, from: Socket, to: Socket): void {
  let timer: NodeJS.Timeout | undefined;
  const goOn = (): void => {
    if (timer === undefined && !to.writableNeedDrain) from.resume();
  };
  from.on('data', (chunk: Buffer) => {
    if (to.destroyed) return;
    const hasRoom = to.write(chunk);
    const waitMs = rate.take(chunk.length);
    if (waitMs > 0 && timer === undefined) {
      timer = setTimeout(() => {
        timer = undefined;
        goOn();
      }, waitMs);
    }
    if (!hasRoom || timer !== undefined) from.pause();
  });
  to.on('drain', goOn);
  from.once('close', () => clearTimeout(timer));
  // Drop later input. Unread input would hide the end of the connection.
  to.once('close', () => {
    clearTimeout(timer);
    from.resume();
  });
  if (from.readableEnded) process.nextTick(() => to.end());
  else from.once('end', () => to.end());
  from.resume();
}
