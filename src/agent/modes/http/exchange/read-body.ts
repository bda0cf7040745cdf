import { Readable } from 'node:stream';
import { ExchangeAround } from './exchange-around.js';
import { valuesOf, type Exchange } from './exchange.js';

export interface ReadOptions {
  readonly maxBytes: number;
  /** Timeout between two parts of the body. The exchange is aborted then. */
  readonly idleMs: number;
  /** Timeout of the whole body. Default: none. The exchange is aborted then. */
  readonly totalMs?: number;
  /** The part of the body that was read before. */
  readonly before?: readonly Buffer[];
  /** Called with the length of each part. False: the body may not be kept. */
  readonly admit?: (bytes: number) => boolean;
}

export type ReadResult =
  | { readonly kind: 'whole'; readonly bytes: Buffer }
  /** The rest of the body is read and dropped. */
  | { readonly kind: 'long' | 'not_admitted' }
  /** The visitor disconnected, or timed out. Nobody waits for a response. */
  | { readonly kind: 'gone' };

/** Reads the whole body of a request into memory. */
export function readBody(
  exchange: Exchange,
  { maxBytes, idleMs, totalMs, before = [], admit }: ReadOptions,
): Promise<ReadResult> {
  const { body } = exchange;
  if (!body) return Promise.resolve({ kind: 'whole', bytes: Buffer.alloc(0) });
  // Without asking for a body that is too long.
  if (Number(valuesOf(exchange, 'content-length')) > maxBytes) return Promise.resolve({ kind: 'long' });
  const parts = new Parts();
  for (const each of before) parts.add(each);
  let length = before.reduce((sum, each) => sum + each.length, 0);
  if (body.readableEnded || body.destroyed)
    return Promise.resolve(
      body.readableEnded && exchange.isBodyWhole ? { kind: 'whole', bytes: parts.join() } : { kind: 'gone' },
    );
  if (exchange.expectsContinue) exchange.inform(100, []);
  return new Promise((resolve) => {
    const timer = setTimeout(() => exchange.abort(), idleMs);
    const deadline = totalMs === undefined ? undefined : setTimeout(() => exchange.abort(), totalMs);
    const finish = (result: ReadResult): void => {
      clearTimeout(timer);
      clearTimeout(deadline);
      body.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
      // A reset after this is of no interest here.
      body.on('error', () => undefined);
      resolve(result);
    };
    const onData = (chunk: Buffer): void => {
      timer.refresh();
      length += chunk.length;
      if (length > maxBytes) finish({ kind: 'long' });
      else if (admit?.(chunk.length) === false) finish({ kind: 'not_admitted' });
      else parts.add(chunk);
    };
    const onEnd = (): void =>
      finish(exchange.isBodyWhole ? { kind: 'whole', bytes: parts.join() } : { kind: 'gone' });
    const onGone = (): void => finish({ kind: 'gone' });
    body.on('data', onData).once('end', onEnd).once('error', onGone).once('close', onGone);
    // Another reader may have paused it.
    body.resume();
  });
}

/** Parts up to this size are joined, this many at once. */
const SMALL_BYTES = 1_024;
const MAX_SMALL = 256;

/** The parts of a body. A visitor may send single bytes, each of which would keep a whole read buffer. */
class Parts {
  readonly #blocks: Buffer[] = [];
  #small: Buffer[] = [];

  add(chunk: Buffer): void {
    if (chunk.length > SMALL_BYTES) {
      this.#joinSmall();
      this.#blocks.push(chunk);
    } else if (this.#small.push(chunk) >= MAX_SMALL) this.#joinSmall();
  }

  join(): Buffer {
    this.#joinSmall();
    return Buffer.concat(this.#blocks);
  }

  #joinSmall(): void {
    if (this.#small.length > 0) this.#blocks.push(Buffer.concat(this.#small));
    this.#small = [];
  }
}

/** An exchange whose body has been read, with the body to read again. Without trailers, which nobody has checked. */
export class ReadExchange extends ExchangeAround {
  constructor(inner: Exchange, bytes: Buffer) {
    super(inner, { body: inner.body && streamOf(bytes), expectsContinue: false });
  }

  override trailers(): [] {
    return [];
  }
}

function streamOf(bytes: Buffer): Readable {
  return new Readable({
    read() {
      if (bytes.length > 0) this.push(bytes);
      this.push(null);
    },
  });
}
