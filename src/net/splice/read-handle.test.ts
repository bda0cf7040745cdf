import { once } from 'node:events';
import { expect, it } from 'vitest';
import { connection } from '../../../test/support/connection.js';
import { stopReading } from './read-handle.js';
import { SOCKET_BUFFER_BYTES } from './splice.js';

const TOTAL = 8_000_000;

it('leaves what arrives to the system, until it may read again', async () => {
  const [near, far] = await connection({ highWaterMark: SOCKET_BUFFER_BYTES });
  let received = 0;
  let readAgain: (() => void) | undefined;
  far.on('data', (chunk: Buffer) => {
    received += chunk.length;
    readAgain ??= stopReading(far);
  });
  near.end(Buffer.alloc(TOTAL));
  await once(far, 'data');
  const answered = once(near, 'data');
  far.write('?');
  await answered;
  expect(far.bytesRead).toBeLessThan(SOCKET_BUFFER_BYTES / 4);
  readAgain?.();
  far.resume();
  await once(far, 'end');
  expect(received).toBe(TOTAL);
});
