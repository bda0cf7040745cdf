import type { Socket } from 'node:net';

/** How much may burst: what one second allows, and never less than two reads of a socket. */
const MIN_BURST_BYTES = 128 * 1024;

/**
 * A bound on bytes a second that many connections share: a token bucket, kept as the moment at which everything that
 * was taken is paid for (GCRA). Nobody queues here: whoever took too much is told how long to wait, after what others
 * took before; so shares even out, and there is nothing to keep per connection.
 */
export class ByteRate {
  readonly #msPerByte: number;
  readonly #burstMs: number;
  #paidAt = 0;

  constructor(bytesPerSecond: number) {
    this.#msPerByte = 1_000 / bytesPerSecond;
    this.#burstMs = Math.max(1_000, MIN_BURST_BYTES * this.#msPerByte);
  }

  /** Whether everything that was taken is paid for: nothing is lost when it is forgotten. */
  get isIdle(): boolean {
    return this.#paidAt <= now();
  }

  /** Takes `bytes` that have come already; answers how long to read no more, in milliseconds. */
  take(bytes: number): number {
    const at = now();
    this.#paidAt = Math.max(this.#paidAt, at) + bytes * this.#msPerByte;
    return Math.max(0, this.#paidAt - at - this.#burstMs);
  }

  /** Takes `bytes` if they fit now; for what cannot wait. */
  tryTake(bytes: number): boolean {
    const at = now();
    const paidAt = Math.max(this.#paidAt, at) + bytes * this.#msPerByte;
    if (paidAt - at > this.#burstMs) return false;
    this.#paidAt = paidAt;
    return true;
  }
}

/** Not the wall clock: a rate must not stop because somebody sets that. */
const now = (): number => performance.now();

/** `from.pipe(to)`, reading no faster than `rate` allows: TCP's own window then slows the sender down. */
export function pourAt(rate: ByteRate, from: Socket, to: Socket): void {
  let timer: NodeJS.Timeout | undefined;
  const goOn = (): void => {
    if (timer === undefined && !to.writableNeedDrain) from.resume();
  };
  from.on('data', (chunk: Buffer) => {
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
  to.once('close', () => clearTimeout(timer));
  if (from.readableEnded) process.nextTick(() => to.end());
  else from.once('end', () => to.end());
  from.resume();
}
