import { Readable } from 'node:stream';
import { ExchangeAround } from './exchange-around.js';
import { valuesOf, type Exchange } from './exchange.js';

export interface ReadOptions {
  readonly maxBytes: number;
  /** Timeout between two parts of the body. The exchange is aborted then. */
  readonly idleMs: number;
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
export function readBody(exchange: Exchange, { maxBytes, idleMs, admit }: ReadOptions): Promise<ReadResult> {
  const { body } = exchange;
  if (!body) return Promise.resolve({ kind: 'whole', bytes: Buffer.alloc(0) });
  // Without asking for a body that is too long.
  if (Number(valuesOf(exchange, 'content-length')) > maxBytes) return Promise.resolve({ kind: 'long' });
  if (exchange.expectsContinue) exchange.inform(100, []);
  const chunks: Buffer[] = [];
  let length = 0;
  return new Promise((resolve) => {
    const timer = setTimeout(() => exchange.abort(), idleMs);
    const finish = (result: ReadResult): void => {
      clearTimeout(timer);
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
      else chunks.push(chunk);
    };
    const onEnd = (): void =>
      finish(
        exchange.isBodyWhole ? { kind: 'whole', bytes: Buffer.concat(chunks, length) } : { kind: 'gone' },
      );
    const onGone = (): void => finish({ kind: 'gone' });
    body.on('data', onData).once('end', onEnd).once('error', onGone).once('close', onGone);
  });
}

/** An exchange whose body has been read, with the body to read again. */
export class ReadExchange extends ExchangeAround {
  constructor(inner: Exchange, bytes: Buffer) {
    super(inner, { body: inner.body && streamOf(bytes), expectsContinue: false });
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
