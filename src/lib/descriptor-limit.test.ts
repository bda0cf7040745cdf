import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { descriptorLimit } from './descriptor-limit.js';

it.skipIf(process.platform === 'win32')('reads the limit that the shell shows (not on Windows)', async () => {
  const shown = execFileSync('/bin/sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
  const expected = shown === 'unlimited' ? undefined : Number(shown);
  expect(await descriptorLimit()).toBe(expected);
  // Systems without /proc.
  expect(await descriptorLimit('darwin')).toBe(expected);
});
