import { randomBytes } from 'node:crypto';
import { expect, it, onTestFinished } from 'vitest';
import { silent } from '../../lib/logger.js';
import type { ServiceSpec } from '../spec.js';
import { PROBE_BYTES } from './udp-probes.js';
import { UdpHandler } from './udp.js';

it('forwards no copy of a probe that arrives late, and ends its flow', () => {
  const spec = { service: 'game', access: {}, udp: {} } as unknown as ServiceSpec;
  const gates = { admits: () => false, enter: () => undefined };
  const handler = new UdpHandler(spec, silent, gates, () => undefined);
  onTestFinished(() => handler.close());
  const token = randomBytes(PROBE_BYTES);
  let [arrived, ended] = [0, 0];
  const forget = handler.probes.expect(token, () => arrived++);
  const deliver = (): void => {
    const reply = { send: () => undefined, end: () => ended++ };
    handler.flow({ address: '192.0.2.1', port: 1 }, reply)!.deliver(token);
  };
  deliver();
  forget();
  deliver();
  expect([arrived, ended]).toEqual([2, 2]);
  expect(handler.traffic()).toMatchObject({ visitors: 0, bytesIn: 0 });
});
