import { expect, it } from 'vitest';
import { modesLine } from './relay-report.js';

it.each([
  [
    ['stream', 'http', 'hostname'],
    'offers the modes http and stream; for tcp and udp, add --tcp-ports and --udp-ports',
  ],
  [['stream', 'http', 'tcp'], 'offers the modes http, stream and tcp; for udp, add --udp-ports'],
  [['stream', 'http', 'tcp', 'udp'], 'offers the modes http, stream, tcp and udp'],
])('names the modes of a relay with %j, and the flags for the others', (capabilities, line) => {
  expect(modesLine(capabilities)).toBe(line);
});
