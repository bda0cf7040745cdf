import { expect, it } from 'vitest';
import type { SurveyedRelay } from '../../reconcile/candidates/survey.js';
import { createStyle } from '../text/style.js';
import { describeRelays } from './list.js';

const relay: SurveyedRelay & { locked: boolean } = {
  url: 'https://relay.example.com:8443',
  source: 'urls',
  health: 'healthy',
  rttMs: 12,
  inUse: true,
  locked: true,
  address: `0x${'a'.repeat(40)}`,
  capabilities: ['stream', 'http', 'hostname', 'tcp', 'udp'],
  carriers: ['raw', 'tls', 'ws'],
};
const lines = (width: number): string[] => describeRelays([relay], createStyle(false), false, width);

it('shows everything of a relay on one line where the terminal is wide', () => {
  expect(lines(180)).toHaveLength(2);
  expect(lines(180)[1]).toMatch(
    /^https:\/\/relay\S+ +urls +healthy +12 ms +yes +yes +0xa+ +HTTPS, other TLS, TCP ports, UDP ports, own domains$/,
  );
});

it.each([120, 80, 50])('has lines for the key and the offers within %i columns', (width) => {
  expect(lines(width).filter((line) => line.length > width)).toEqual([]);
  expect(lines(width).slice(2)).toEqual([
    `  key 0x${'a'.repeat(40)}`,
    ...(width < 60
      ? ['  serves HTTPS, other TLS, TCP ports, UDP ports,', '  own domains']
      : ['  serves HTTPS, other TLS, TCP ports, UDP ports, own domains']),
  ]);
});
