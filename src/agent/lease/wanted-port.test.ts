import { expect, it } from 'vitest';
import { parseTarget } from '../../net/target/target.js';
import { wantedPort } from './wanted-port.js';

const game = (target: string, port?: number) => ({ mode: 'udp', target: parseTarget(target), port }) as const;

it.each([
  ['the configured port', 'https://relay.example', game('localhost:19132', 19132), undefined, 19132],
  ['the previous port', 'https://relay.example', game('localhost:19132'), 20001, 20001],
  ['the configured one before the previous one', 'embedded:8443', game('localhost:1', 2), 3, 2],
  [
    'no port in modes with a hostname',
    'embedded:8443',
    { ...game('localhost:1', 2), mode: 'http' } as const,
    3,
    undefined,
  ],
  [
    'not the target’s own port on the embedded relay',
    'embedded:8443',
    game('localhost:19132', 19132),
    undefined,
    undefined,
  ],
  [
    'not the target’s own port on a local relay',
    'https://localhost:9443',
    game('127.0.0.1:19132'),
    19132,
    undefined,
  ],
  ['the same port as a target elsewhere', 'embedded:8443', game('192.0.2.1:19132', 19132), undefined, 19132],
])('requests %s', (_what, relay, spec, previous, wanted) => {
  expect(wantedPort(relay, spec, previous)).toBe(wanted);
});
