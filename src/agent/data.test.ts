import { describe, expect, it } from 'vitest';
import type { WireCarrier } from '../protocol/messages.js';
import { openData, type DataDial } from './data.js';
import { Resumption } from './resumption.js';

const dialOf = (over: Partial<DataDial>): DataDial => ({
  endpoint: { url: 'https://localhost' },
  relayAddress: '127.0.0.1',
  carrier: 'raw',
  ticket: 'n'.repeat(16) + 's'.repeat(32),
  signal: AbortSignal.timeout(20_000),
  resumption: new Resumption(),
  ...over,
});

describe('a data connection that the system rejects at once', () => {
  it.each<WireCarrier>(['raw', 'tls', 'ws'])(
    'on carrier %s: rejects, and the agent lives',
    async (carrier) => {
      // Not from a promise: there, its listeners come before its error.
      const opened = new Promise((resolve, reject) => {
        setImmediate(() => {
          // A link-local address without a zone.
          openData(dialOf({ carrier, relayAddress: 'fe80::1' })).then(resolve, reject);
        });
      });
      await expect(opened).rejects.toThrow(/fe80::1/);
    },
  );
});
