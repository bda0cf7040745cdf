import { expect, it } from 'vitest';
import type { Reporter, TimedEvent } from '../reporters/reporter.js';
import { inFlags, reportingFlags } from './expose-words.js';

it.each([
  [
    '/services/A_B/name',
    '"A_B" is not one DNS label',
    'Write `name: a-b`.',
    '--name: "A_B" is not one DNS label',
    'Write --name a-b.',
  ],
  [
    '/services/a.b/name',
    '"a.b" is not one DNS label',
    'For your own domain, write `hostname: a.b`. For a name on the relay, write `name: a`.',
    '--name: "a.b" is not one DNS label',
    'For your own domain, write `hostname: a.b` in portal.yaml. For a name on the relay, write --name a.',
  ],
  [
    '/services/web/access/pin',
    '`pin` is shorter than 4 characters',
    undefined,
    '--pin is shorter than 4 characters',
    undefined,
  ],
  [
    '/services/web/access',
    '`access.pin` needs mode auto, stream or http; this service runs mode tcp',
    'This gate reads requests. `allowIps` works in every mode.',
    '--pin needs mode auto, stream or http; this service runs mode tcp',
    'This gate reads requests. --allow-ip works in every mode.',
  ],
  [
    '/relays/urls/0',
    '"ftp://x" is not the URL of a relay',
    undefined,
    '--relay: "ftp://x" is not the URL of a relay',
    undefined,
  ],
  [
    '/chains/chain',
    'chain "chain" needs at least 2 entries',
    'For example `chain: ["https://a.example","https://b.example"]`.',
    '--chain needs at least 2 entries',
    'For example --chain https://a.example,https://b.example.',
  ],
  ['', 'too large', undefined, 'too large', undefined],
  [
    '',
    'not trusted',
    'If it has a private CA, write its file in portal.yaml: `relays: { urls: [{ url: "https://[::1]", ca: ./ca.pem }] }`. Use the URL that `portal relay` prints.',
    'not trusted',
    'If it has a private CA, name its file: --ca FILE. Use the URL that `portal relay` prints.',
  ],
])('names the flag for a problem at %s', (path, message, hint, said, advice) => {
  const problem = { path, message, ...(hint !== undefined && { hint }) };
  expect(inFlags(problem)).toEqual({ message: said, ...(advice !== undefined && { hint: advice }) });
});

it('names flags in the errors of a relay', () => {
  const events: TimedEvent[] = [];
  const reporter = reportingFlags({
    event: (event: TimedEvent) => events.push(event),
  } as unknown as Reporter);
  const lease = { time: '', event: 'lease', service: 'web', relay: 'https://r', phase: 'failed' } as const;
  const message = '"web" is taken by another identity. Use another name, for example `name: web-${user}`.';
  reporter.event({ ...lease, error: { code: 'name_taken', message } });
  const hint =
    'If the relay has a private CA, write its file in portal.yaml: `relays: { urls: [{ url: https://r, ca: ./ca.pem }] }`';
  reporter.event({ ...lease, error: { code: 'relay_untrusted', message: 'not trusted', hint } });
  expect(events.map((event) => (event.event === 'lease' ? event.error : undefined))).toEqual([
    {
      code: 'name_taken',
      message: '"web" is taken by another identity. Use another name, for example --name web-$USER.',
    },
    {
      code: 'relay_untrusted',
      message: 'not trusted',
      hint: 'If the relay has a private CA, name its file: --ca FILE',
    },
  ]);
});

it('says how to choose the port of the relay without a file', () => {
  const events: TimedEvent[] = [];
  const reporter = reportingFlags({
    event: (event: TimedEvent) => events.push(event),
  } as unknown as Reporter);
  const message =
    'port 8443 is in use, so the embedded relay uses 9000 this time; to choose a port, set relays: …';
  reporter.event({ time: '', event: 'notice', kind: 'port_in_use', message, askedPort: 8443, port: 9000 });
  expect(events).toEqual([
    expect.objectContaining({
      message:
        'port 8443 is in use, so the embedded relay uses 9000 this time; to choose a port, run portal relay --listen localhost:8444, and add --relay https://localhost:8444',
    }),
  ]);
});
