import { describe, expect, it, vi } from 'vitest';
import { silent, type Logger } from '../../lib/logger.js';
import { AccessLists, readDenyList } from './access-lists.js';

const SOMEONE = '0x371531b8ED16256DE8a3f97A99BA7206788143e0';

describe('a deny list', () => {
  it('contains identities, addresses and ranges, with comments', () => {
    const denied = new AccessLists();
    denied.set(
      readDenyList(
        `# abuse\n${SOMEONE.toLowerCase()} # phishing, 2026-11-20\r\n\n192.0.2.0/24\n2001:db8::/32\n`,
      ),
    );
    expect(denied.hasIdentity(SOMEONE)).toBe(true);
    expect(denied.hasAddress('::ffff:192.0.2.7')).toBe(true);
    expect(denied.hasAddress('2001:db8::5')).toBe(true);
    expect(denied.hasAddress('192.0.3.1')).toBe(false);
    expect(denied.hasAddress(undefined)).toBe(false);
    expect(() => denied.check(SOMEONE)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
    expect(denied.admits('192.0.2.1')).toBe(false);
    expect(denied.counts.counts()).toEqual({ identity: 1, address: 1 });
  });

  it('applies together with those of other nodes, and names the node of a rule', () => {
    const log = { ...silent, info: vi.fn<Logger['info']>() };
    const denied = new AccessLists({ log });
    denied.set(readDenyList('192.0.2.0/24'));
    denied.setElsewhere([
      { node: '10.0.0.6:7443', list: readDenyList(SOMEONE) },
      { node: '10.0.0.7:7443', list: readDenyList('198.51.100.0/24\n192.0.2.7') },
    ]);
    expect([...denied.identities]).toEqual([SOMEONE]);
    expect(['192.0.2.7', '198.51.100.1', '203.0.113.1'].map((one) => denied.admits(one))).toEqual([
      false,
      false,
      true,
    ]);
    expect(() => denied.check(SOMEONE)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
    expect(log.info.mock.calls.map(([fields]) => (fields as { rule: string }).rule)).toEqual([
      'deny 192.0.2.0/24',
      'deny 198.51.100.0/24, from node 10.0.0.7:7443',
      `deny ${SOMEONE}, from node 10.0.0.6:7443`,
    ]);
    denied.setElsewhere([]);
    expect(denied.permits({ identity: SOMEONE, address: '198.51.100.1' })).toBe(true);
  });

  it('is rejected with every invalid line', () => {
    expect(() => readDenyList(`0x12\n192.0.2.1\n192.0.2.1/24`)).toThrow(
      /line 1: "0x12".*line 3: "192\.0\.2\.1\/24"/,
    );
  });
});
