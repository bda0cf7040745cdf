import { expect, it } from 'vitest';
import { service } from '../../../test/support/world.js';
import { KnownTargets } from '../../agent/target/known-targets.js';
import { silent } from '../../lib/logger.js';
import type { PortalEvent } from '../events.js';
import { LeaseMaker, type LeaseMakerOptions } from './lease-maker.js';

function maker() {
  const events: PortalEvent[] = [];
  const made = new LeaseMaker({
    shared: { log: silent } as LeaseMakerOptions['shared'],
    local: { protocols: new KnownTargets(), errorOf: () => undefined, noted: () => undefined },
    emit: (event) => events.push(event),
    onPhase: () => undefined,
    onServedAs: () => undefined,
  });
  const relay = { kind: 'url', url: 'https://relay.example' } as const;
  return { events, lease: made.make({ relay, spec: service('app', 3000) }) };
}

it('reports the visitors that a relay gave up on', () => {
  const { events, lease } = maker();
  lease.unserved('queue_timeout', 2);
  expect(events).toEqual([
    { event: 'unserved', service: 'app', relay: lease.relay, reason: 'queue_timeout', count: 2 },
  ]);
});
