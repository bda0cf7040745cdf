import { onTestFinished } from 'vitest';
import {
  joinCluster,
  type PostgresCluster,
  type PostgresClusterOptions,
} from '../../src/relay/postgres/cluster.js';
import { log } from './log.js';

/** A node of the relay in the database of `url`. It leaves with the test. */
export async function postgresNode(
  url: string,
  over: Partial<PostgresClusterOptions> = {},
): Promise<PostgresCluster> {
  const node = await joinCluster({
    url,
    relay: { identity: '0x1', domain: 'relay.test' },
    nodeAddress: '127.0.0.1:1',
    graceMs: 60_000,
    log,
    ...over,
  });
  onTestFinished(() => node.close());
  return node;
}
