import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';

const fuzz = (...args: string[]) =>
  spawnSync(process.execPath, ['scripts/fuzz.mjs', ...args], { encoding: 'utf8' });

const withoutTimes = (report = '') => report.replaceAll(/[\d.]+ s,/g, '');

describe('npm run fuzz', () => {
  it('parses 20,000 broken ClientHellos without a violation, valid ones among them', () => {
    const { status, stdout, stderr } = fuzz(
      '--target',
      'client-hello',
      '--runs',
      '20000',
      '--seed',
      '20260301',
    );
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^client-hello: 20000 inputs, seed 20260301, [\d.]+ s, no failure\n/);
    for (const verdict of ['hello', 'need', 'not-tls', 'invalid: has a duplicate extension']) {
      expect(stdout).toMatch(new RegExp(`^ +\\d+ {2}${verdict}$`, 'm'));
    }
    expect(status).toBe(0);
  });

  it.each([
    ['datagram-frames', ['whole, data', 'malformed, open', 'malformed, nothing']],
    ['datagram-packets', ['opened', 'forged', 'malformed']],
    ['portal-lock', ['refused', 'read and added to', 'empty, and added to']],
    ['relay-list', ['refused, refused, refused', 'relays, relays, none', 'relays, relays, relays']],
    ['proxy-header', ['refused', 'local', 'IPv4', 'IPv6']],
    ['data-upgrade', ['HTTP/1.1 101, agent: refused', 'HTTP/1.1 400, agent: upgraded']],
    ['ticket-line', ['ticket, routed: ticket', 'malformed, routed: malformed', 'need, routed: none']],
    ['sign-in', ['challenge: challenged, proof: protocol, response: done']],
    ['dotenv', ['malformed', 'with warnings', '2 values']],
    ['h1-response', ['rejected', 'incomplete', 'complete', 'until the connection closes']],
    ['har', ['text', 'no body', 'base64']],
  ])('parses 2,000 broken inputs of %s without a violation', (target, verdicts) => {
    const { status, stdout, stderr } = fuzz('--target', target, '--runs', '2000', '--seed', '20260302');
    expect(stderr).toBe('');
    expect(stdout).toContain(`${target}: 2000 inputs, seed 20260302`);
    for (const verdict of verdicts) expect(stdout).toMatch(new RegExp(`^ +\\d+ {2}${verdict}$`, 'm'));
    expect(status).toBe(0);
  });

  it('the same seed makes the same inputs', () => {
    const [first, second] = [1, 2].map(() => fuzz('--runs', '200', '--seed', '7').stdout);
    expect(withoutTimes(second)).toBe(withoutTimes(first));
  });

  it('runs every target by default', () => {
    const { stdout } = fuzz('--runs', '1', '--seed', '7');
    const targets = readdirSync('scripts/fuzz/targets').map((file) => basename(file, '.mjs'));
    for (const target of targets) expect(stdout).toContain(`${target}: 1 inputs, seed 7`);
  });

  it.each([
    ['--target', 'nothing'],
    ['--runs', '0'],
    ['--seed', 'x'],
  ])('%s %s: rejected', (...args) => {
    const { status, stderr } = fuzz(...args);
    expect(status).toBe(1);
    expect(stderr).toContain(args[1]);
  });
});
