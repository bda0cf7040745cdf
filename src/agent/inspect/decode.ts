import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw, constants } from 'node:zlib';

export interface Decoded {
  readonly bytes: Buffer;
  /** The codings that were decoded. */
  readonly codings: readonly string[];
  /** The body exceeds the limit or is truncated. */
  readonly isPart: boolean;
}

/** More than one coding is rare, and each multiplies the size. */
const MAX_CODINGS = 3;
const { Z_SYNC_FLUSH, BROTLI_OPERATION_FLUSH } = constants;

/** Decodes the content codings of a body, which may be truncated. Undefined for an unknown coding. */
export async function decode(
  body: Buffer,
  encoding: string | undefined,
  maxBytes: number,
): Promise<Decoded | undefined> {
  const codings = (encoding ?? '')
    .toLowerCase()
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '' && each !== 'identity');
  if (codings.length > MAX_CODINGS) return undefined;
  let bytes = body;
  let isPart = false;
  // The coding named last was applied last (RFC 9110, section 8.4).
  for (const coding of codings.toReversed()) {
    const decoder = decoderFor(coding, bytes);
    if (!decoder) return undefined;
    const step = await run(decoder, bytes, maxBytes);
    bytes = step.bytes;
    isPart ||= step.isPart;
  }
  return { bytes, codings, isPart };
}

function decoderFor(coding: string, bytes: Buffer): Transform | undefined {
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip({ finishFlush: Z_SYNC_FLUSH });
    case 'deflate':
      // Many servers omit the zlib header.
      return ((bytes[0] ?? 0) & 0x0f) === 8
        ? createInflate({ finishFlush: Z_SYNC_FLUSH })
        : createInflateRaw({ finishFlush: Z_SYNC_FLUSH });
    case 'br':
      return createBrotliDecompress({ finishFlush: BROTLI_OPERATION_FLUSH });
    default:
      return undefined;
  }
}

/** Decodes up to the limit and stops there, so that a bomb never expands. */
function run(
  decoder: Transform,
  input: Buffer,
  maxBytes: number,
): Promise<{ bytes: Buffer; isPart: boolean }> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const finish = (isPart: boolean): void => {
      decoder.removeAllListeners();
      decoder.on('error', () => undefined);
      decoder.destroy();
      resolve({ bytes: Buffer.concat(chunks).subarray(0, maxBytes), isPart });
    };
    decoder.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxBytes) finish(true);
    });
    decoder.once('end', () => finish(false));
    decoder.once('error', () => finish(true));
    decoder.end(input);
  });
}
