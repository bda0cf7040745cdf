import { fetchFrom } from '../../agent/fetch.js';
import { relayKey, type RelaySpec, type ServiceSpec, type UrlRelay } from '../../agent/spec.js';
import { readDescriptor, type SignedDescriptor } from '../../protocol/descriptor.js';
import { LIMITS, PATHS } from '../../protocol/limits.js';
import { endpointOf } from '../../reconcile/endpoint.js';
import { proxyFor } from '../proxy.js';
import { checkOffer, checkRelay, type RelayContext, STEP_MS, type RelayFindings } from './relay.js';
import { Subject } from './report.js';

/**
 * A chain, from its exit: that is the one relay of it which may learn where this machine is. The others are not
 * connected to, nor looked up; what is known of them is what the exit says.
 */
export async function checkChain(
  spec: Extract<RelaySpec, { kind: 'chain' }>,
  services: readonly ServiceSpec[],
  context: RelayContext,
): Promise<RelayFindings> {
  const [entry, next, exit] = [spec.hops[0]!, spec.hops.at(-2)!, spec.hops.at(-1)!];
  const found = await checkRelay(exit, [], context);
  const subject = new Subject(`chain ${spec.hops.map(relayKey).join(' ← ')}`);
  for (const finding of found.subject.findings)
    subject.findings.push({ ...finding, about: subject.about, message: `the exit: ${finding.message}` });
  if (found.descriptor) await checkNext(found.descriptor, { entry, next, exit }, services, subject);
  const untold = spec.hops.slice(0, -1).map(relayKey).join(' and ');
  subject.ok('chain.hidden', `${untold}: not asked from here, which would tell where you are`);
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
  /** The one before the exit; in a chain of two the entry. */
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
      `${relayKey(exit)} passes nothing on: it has no peers`,
      'Choose another exit, or ask its operator to name peers.',
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
      `${relayKey(exit)} does not pass on to ${relayKey(next)}, or cannot reach it now`,
      `Its operator names it as a peer. It has: ${peers.map(({ url }) => url).join(', ') || 'none that it could reach'}.`,
    );
    return;
  }
  subject.ok('chain.hop', `${relayKey(exit)} passes on to ${peer.url}, relay ${peer.address}`);
  if (next === entry) checkOffer(peer, services, subject);
  else if (!peer.capabilities.includes('hop'))
    subject.problem('chain.hop', `${peer.url} passes nothing on: it has no peers`, 'Choose another relay.');
  else
    subject.ok('chain.hop', `whether ${peer.url} passes on to ${relayKey(entry)} shows once an agent runs`);
}

async function peersOf(exit: UrlRelay): Promise<SignedDescriptor[]> {
  const { text } = await fetchFrom(await endpointOf(exit, proxyFor), {
    path: PATHS.relays,
    ms: STEP_MS,
    maxBytes: LIMITS.maxRelayListBytes,
  });
  const said = JSON.parse(text) as { relays?: unknown };
  const relays: unknown[] = Array.isArray(said.relays) ? said.relays : [];
  return relays.flatMap((each) => {
    try {
      return readDescriptor(each, new Date());
    } catch {
      // Of no use to anyone.
      return [];
    }
  });
}
