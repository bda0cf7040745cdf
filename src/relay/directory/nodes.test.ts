import { onTestFinished } from 'vitest';
import { channelPair } from '../../../test/support/channel.js';
import { testTwoNodes } from '../../../test/support/two-nodes.js';
import { openChannelDirectory, serveDirectory } from './channel.js';
import type { LeaseDirectory } from './directory.js';
import { MemoryDirectory } from './memory.js';

/** The leases of several nodes that share a directory. test/e2e/postgres-directory.test.ts has the same with a database. */

testTwoNodes('in one process', async () => {
  const shared = new MemoryDirectory();
  return [shared.node('a'), shared.node('b')];
});

testTwoNodes('through the main process', async () => {
  const shared = new MemoryDirectory();
  const open = async (name: string): Promise<LeaseDirectory> => {
    const [here, there] = channelPair();
    serveDirectory(shared, { name, graceMs: 50 }, there);
    const directory = await openChannelDirectory(here);
    onTestFinished(() => directory.close());
    return directory;
  };
  return [await open('a'), await open('b')];
});
