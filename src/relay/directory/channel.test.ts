import { beforeEach, describe, expect, it } from 'vitest';
import { channelPair } from '../../../test/support/channel.js';
import { openChannelDirectory, serveDirectory } from './channel.js';
import { claimOf, directoryContract } from './contract.js';
import type { LeaseDirectory } from './directory.js';
import { MemoryDirectory } from './memory.js';

describe('the directory in the memory of another process', () => {
  let shared: MemoryDirectory;
  beforeEach(() => {
    shared = new MemoryDirectory();
  });

  function open(name: string): Promise<LeaseDirectory> {
    const [here, there] = channelPair();
    serveDirectory(shared, { name, graceMs: 50 }, there);
    return openChannelDirectory(here);
  }

  directoryContract((...names) => Promise.all(names.map(open)));

  it('lets the agents of a process that ended return within the grace period, and ends their leases then', async () => {
    const [crashes, stays] = [await open('a'), await open('b')];
    await crashes.claim(claimOf('web', '0xA'));
    const taken = await crashes.claim(claimOf('moved', '0xA'));
    const moved = await stays.claim(claimOf('moved', '0xA'));
    expect(moved.epoch).toBeGreaterThan(taken.epoch);
    const changes: (string | undefined)[] = [];
    stays.watch(({ record }) => void changes.push(record ? record.session : 'released'));
    await crashes.close();
    await expect.poll(() => changes).toEqual([undefined, 'released']);
    expect(stays.lookup('web.relay.test')).toBeUndefined();
    expect(stays.lookup('moved.relay.test')).toEqual(moved);
    await expect(stays.claim(claimOf('web', '0xB'))).resolves.toMatchObject({ node: 'b' });
    await stays.close();
  });

  it('rejects a claim without the other process, with a retry', async () => {
    const [here, there] = channelPair();
    serveDirectory(shared, { name: 'a', graceMs: 50 }, there);
    const directory = await openChannelDirectory(here);
    const { place } = await directory.claim(claimOf('web', '0xA'));
    there.close();
    await expect(directory.claim(claimOf('other', '0xA'))).rejects.toMatchObject({
      code: 'relay_busy',
      retryAfterMs: 1_000,
    });
    // Visitors of known leases continue.
    expect(directory.lookup(place)).toMatchObject({ node: 'a' });
  });
});
