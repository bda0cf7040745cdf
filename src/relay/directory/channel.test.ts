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
    serveDirectory(shared, name, there);
    return openChannelDirectory(here);
  }

  directoryContract((...names) => Promise.all(names.map(open)));

  it('ends the leases of a process with that process, and no others', async () => {
    const [crashes, stays] = [await open('a'), await open('b')];
    await crashes.claim(claimOf('web', '0xA'));
    const taken = await crashes.claim(claimOf('moved', '0xA'));
    const moved = await stays.claim(claimOf('moved', '0xA'));
    expect(moved.epoch).toBeGreaterThan(taken.epoch);
    await crashes.close();
    await expect.poll(() => stays.lookup('web.relay.test')).toBeUndefined();
    expect(stays.lookup('moved.relay.test')).toEqual(moved);
    await expect(stays.claim(claimOf('web', '0xB'))).resolves.toMatchObject({ node: 'b' });
    await stays.close();
  });

  it('rejects a claim without the other process, with a retry', async () => {
    const [here, there] = channelPair();
    serveDirectory(shared, 'a', there);
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
