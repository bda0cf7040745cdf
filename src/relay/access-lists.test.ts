import { describe, expect, it } from 'vitest';
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

  it('is rejected with every invalid line', () => {
    expect(() => readDenyList(`0x12\n192.0.2.1\n192.0.2.1/24`)).toThrow(
      /line 1: "0x12".*line 3: "192\.0\.2\.1\/24"/,
    );
  });
});
