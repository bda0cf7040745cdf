import { stripVTControlCharacters } from 'node:util';
import { expect, it } from 'vitest';
import { capturedOutput } from '../../../test/e2e/cli-support.js';
import type { Logger } from '../../lib/logger.js';
import { heldWarnings, relayLogger } from './log.js';

function logged(isTTY: boolean, log: (logger: Logger) => void): string {
  const stderr = capturedOutput({ isTTY, columns: 200 });
  log(relayLogger({ stderr: stderr.output, json: false }, 'info'));
  return stripVTControlCharacters(stderr.text());
}

it('is text on a terminal: a sentence with its fields, and the hint on a line of its own', () => {
  const text = logged(true, (log) => {
    log.warn(
      { descriptors: 1_024, limits: { maxSessions: 448, maxHops: 2 }, hint: 'Raise it.' },
      'few files',
    );
    log.child({ node: 'n1' }).info({ url: 'https://r' }, 'listening');
    log.debug({}, 'never shown');
  });
  expect(text.split('\n').map((line) => line.replace(/^\d\d:\d\d:\d\d /, '<time> '))).toEqual([
    '<time> warning: few files (descriptors 1024, limits maxSessions 448, maxHops 2)',
    '  Raise it.',
    '<time> listening (node n1, url https://r)',
    '',
  ]);
});

it('shows the message of an error, and where an unexpected one comes from', () => {
  const text = logged(true, (log) => log.error({ err: new TypeError('x is undefined') }, 'request failed'));
  expect(text).toMatch(/ error: request failed: x is undefined\n {4}at .*log\.test/);
});

it('is JSON lines elsewhere', () => {
  const text = logged(false, (log) => log.warn({ limits: { maxSessions: 448 }, hint: 'Raise it.' }, 'few'));
  expect(JSON.parse(text)).toMatchObject({
    level: 'warn',
    limits: { maxSessions: 448 },
    hint: 'Raise it.',
    msg: 'few',
  });
  expect(text.trim()).not.toContain('\n');
});

it('holds warnings on a terminal until the relay listens, and nowhere else', () => {
  const order: string[] = [];
  const log = { warn: (_: object, message: string) => void order.push(message) };
  for (const isHeld of [true, false]) {
    const early = heldWarnings(log, isHeld);
    early.warn({}, `early, held: ${isHeld}`);
    order.push('listening');
    early.release();
    early.release();
  }
  expect(order).toEqual(['listening', 'early, held: true', 'early, held: false', 'listening']);
});
