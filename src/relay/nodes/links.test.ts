import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { connection } from '../../../test/support/connection.js';
import { acceptLink, openLink } from './links.js';

/** What the other node begins with, and what it was told that for. */
async function accepting() {
  const [near, far] = await connection();
  const openings: unknown[] = [];
  const begun = new Promise<Socket>((resolve) =>
    acceptLink(far, (opening) => {
      openings.push(opening);
      return opening['visitor'] === undefined ? undefined : resolve;
    }),
  );
  return { near, far, openings, begun };
}

const nextBytes = async (socket: Socket): Promise<string> =>
  String(((await once(socket.resume(), 'data')) as [Buffer])[0]);

/** The opening of a node without START. */
function oldOpening(opening: object): Buffer {
  const json = Buffer.from(JSON.stringify(opening));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json]);
}

it('carries bytes in both directions once it is started', async () => {
  const { near, openings, begun } = await accepting();
  const link = await openLink(near, { visitor: 'a' });
  const stream = link.start();
  stream.write('hello');
  const taken = await begun;
  expect(await nextBytes(taken)).toBe('hello');
  taken.write('and back');
  expect(await nextBytes(stream)).toBe('and back');
  expect(openings).toEqual([{ visitor: 'a' }]);
});

it('begins nothing at the other node unless it is started', async () => {
  const { near, far, begun } = await accepting();
  const closed = new Promise((resolve) => far.once('close', () => resolve('closed')));
  const link = await openLink(near, { visitor: 'a' });
  link.destroy();
  expect(await Promise.race([begun, closed])).toBe('closed');
});

it('ends if the opening node leaves it in order', async () => {
  const { near, far, begun } = await accepting();
  const closed = new Promise((resolve) => far.once('close', () => resolve('closed')));
  await openLink(near, { visitor: 'a' });
  near.end();
  expect(await Promise.race([begun, closed])).toBe('closed');
});

it('is rejected if the other node does not take it', async () => {
  const { near } = await accepting();
  await expect(openLink(near, {})).rejects.toMatchObject({ code: 'not_found' });
});

it('begins at once for a node of an older version', async () => {
  const { near, begun } = await accepting();
  near.write(oldOpening({ visitor: 'a' }));
  const taken = await begun;
  expect(await nextBytes(near)).toBe('\u0001');
  near.write('hello');
  expect(await nextBytes(taken)).toBe('hello');
});

it('sends only the bytes of the visitor to a node of an older version', async () => {
  const [near, far] = await connection();
  far.once('data', () => far.write(Buffer.of(1)));
  const link = await openLink(near, { visitor: 'a' });
  const heard = nextBytes(far);
  link.start().write('hello');
  expect(await heard).toBe('hello');
});
