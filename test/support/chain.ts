import { eventually } from './eventually.js';
import type { RelayOptions } from '../../src/relay/relay.js';
import type { RelaySpec, UrlRelay } from '../../src/agent/spec.js';
import { expect } from 'vitest';
import { relay, type TestRelay } from './world.js';

/** Relays in a row, each the peer of the next. */
export interface TestChain {
  /** Visitors' side first. */
  readonly relays: readonly TestRelay[];
  readonly entry: TestRelay;
  /** The agent's side. */
  readonly exit: TestRelay;
  readonly spec: Extract<RelaySpec, { kind: 'chain' }>;
}

/** Starts `length` relays. The options override defaults, for the entry and for the others. */
export async function chain(
  length: number,
  entryOptions: Partial<RelayOptions> & Parameters<typeof relay>[0] = {},
  others: Partial<RelayOptions> = {},
): Promise<TestChain> {
  return chainTo(await relay(entryOptions), length, others);
}

/** The same, with an existing entry. */
export async function chainTo(
  entry: TestRelay,
  length: number,
  others: Partial<RelayOptions> = {},
): Promise<TestChain> {
  const relays = [entry];
  while (relays.length < length) {
    const next = relays.at(-1)!;
    relays.push(await relay({ ...others, peers: [peerOf(next)] }));
  }
  await knowEachOther(relays);
  return { relays, entry, exit: relays.at(-1)!, spec: chainOf(relays) };
}

export const peerOf = ({ url, ca }: TestRelay): { url: string; ca: string } => ({
  url,
  ca: ca.certificatePem,
});

export const chainOf = (relays: readonly TestRelay[]): Extract<RelaySpec, { kind: 'chain' }> => ({
  kind: 'chain',
  hops: relays.map(({ spec }) => spec as UrlRelay),
});

/** Resolves once each relay knows its peers. */
export async function knowEachOther(relays: readonly TestRelay[]): Promise<void> {
  for (const { knownPeers, peers } of relays.map((each) => each.counts()))
    if (knownPeers < peers)
      await eventually(() => {
        for (const each of relays) expect(each.counts().knownPeers).toBe(each.counts().peers);
      });
}
