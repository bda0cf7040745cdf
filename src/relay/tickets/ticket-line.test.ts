import { PassThrough } from 'node:stream';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { openByLine } from './ticket-line.js';

it('a ticket line without a free file descriptor is rejected with 0x04, and its ticket is not redeemed', () => {
  const socket = new PassThrough();
  const words: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => words.push(chunk));
  let redeemed = 0;
  openByLine(
    socket as unknown as Socket,
    { name: 'n'.repeat(16), proof: 's'.repeat(32) },
    {
      hasDescriptors: () => false,
      onData: () => {
        redeemed++;
        return undefined;
      },
      onTrusted: () => undefined,
    },
  );
  socket.destroy();
  expect(Buffer.concat(words)).toEqual(Buffer.from([4]));
  expect(redeemed).toBe(0);
});
