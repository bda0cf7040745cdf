import { fetchFrom } from '../../agent/session/fetch.js';
import { relayKey, type RelaySpec, type ServiceSpec, type UrlRelay } from '../../agent/spec.js';
import { readDescriptor, type SignedDescriptor } from '../../protocol/descriptor.js';
import { LIMITS, PATHS } from '../../protocol/limits.js';
import { endpointOf } from '../../reconcile/relays/endpoint.js';
import { proxyFor } from '../proxy.js';
import type { RelayContext, RelayFindings } from './relay-findings.js';
import { Subject } from './report.js';
import { checkOffer, checkUrlRelay, STEP_MS } from './url-relay.js';

/**
 * Checks a chain through its exit, the only relay of the chain that may learn this machine's address. The exit
 * describes the other relays: this machine does not connect to them, and does not look up their names.
 */
export async function checkChain(
  spec: Extract<RelaySpec, { kind: 'chain' }>,
  services: readonly ServiceSpec[],
  context: RelayContext,
): Promise<RelayFindings> {
  const [entry, next, exit] = [spec.hops[0]!, spec.hops.at(-2)!, spec.hops.at(-1)!];
  const found = await checkUrlRelay(exit, [], context);
  const subject = new Subject(`chain ${spec.hops.map(relayKey).join(' ← ')}`);
  for (const finding of found.subject.findings)
    subject.findings.push({ ...finding, about: subject.about, message: `the exit: ${finding.message}` });
  if (found.descriptor) await checkNext(found.descriptor, { entry, next, exit }, services, subject);
  const hidden = spec.hops.slice(0, -1).map(relayKey).join(' and ');
  subject.ok('chain.hidden', `${hidden}: not checked from here, which would reveal your address`);
  const { hostname, port } = new URL(entry.url);
  return {
    subject,
    facts: {
      key: relayKey(spec),
      domain: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || 443),
      addresses: [],
      isEmbedded: false,
      inChain: true,
    },
  };
}

interface Ends {
  readonly entry: UrlRelay;
  /** The relay before the exit. In a chain of two relays that is the entry. */
  readonly next: UrlRelay;
  readonly exit: UrlRelay;
}

async function checkNext(
  descriptor: SignedDescriptor,
  { entry, next, exit }: Ends,
  services: readonly ServiceSpec[],
  subject: Subject,
): Promise<void> {
  if (!descriptor.capabilities.includes('hop')) {
    subject.problem(
      'chain.hop',
      `${relayKey(exit)} has no peers, so it forwards nothing`,
      'Choose another exit, or ask its operator to add peers.',
    );
    return;
  }
  let peers: SignedDescriptor[];
  try {
    peers = await peersOf(exit);
  } catch (error) {
    subject.failed('chain.hop', error);
    return;
  }
  const peer = peers.find(({ url }) => new URL(url).origin === relayKey(next));
  if (!peer) {
    subject.problem(
      'chain.hop',
      `${relayKey(exit)} does not forward to ${relayKey(next)}, or cannot reach it now`,
      `Ask its operator to add it with --peer. Peers now: ${peers.map(({ url }) => url).join(', ') || 'none reachable'}.`,
    );
    return;
  }
  subject.ok('chain.hop', `${relayKey(exit)} forwards to ${peer.url}, relay ${peer.address}`);
  if (next === entry) checkOffer(peer, services, subject);
  else if (!peer.capabilities.includes('hop'))
    subject.problem('chain.hop', `${peer.url} has no peers, so it forwards nothing`, 'Choose another relay.');
  else
    subject.ok('chain.hop', `only a running agent shows whether ${peer.url} forwards to ${relayKey(entry)}`);
}

async function peersOf(exit: UrlRelay): Promise<SignedDescriptor[]> {
  const { text } = await fetchFrom(await endpointOf(exit, proxyFor), {
    path: PATHS.relays,
    ms: STEP_MS,
    maxBytes: LIMITS.maxRelayListBytes,
  });
  const response = JSON.parse(text) as { relays?: unknown };
  const relays: unknown[] = Array.isArray(response.relays) ? response.relays : [];
  return relays.flatMap((each) => {
    try {
      return readDescriptor(each, new Date());
    } catch {
      // Skip invalid descriptors.
      return [];
    }
  });
}
