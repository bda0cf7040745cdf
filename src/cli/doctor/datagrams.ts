import type { ServiceSpec } from '../../agent/spec.js';
import type { ServiceContext } from './service.js';
import type { Subject } from './report.js';

/**
 * How the datagrams of a service in mode udp travel. Only the two ends of a session have keys for packets that a relay
 * answers, so the agent that runs is asked: whether UDP gets through cannot be tried without one.
 */
export function checkDatagrams(
  { carrier }: ServiceSpec,
  { relays, sessions }: Pick<ServiceContext, 'relays' | 'sessions'>,
  subject: Subject,
): void {
  for (const { key, domain, port, inChain } of relays) {
    if (inChain) {
      subject.ok('service.datagrams', 'over a chain datagrams go in a WebSocket');
      continue;
    }
    const session = sessions?.find(({ relay }) => relay === key);
    const used = session?.datagrams?.carrier;
    if (!sessions)
      subject.ok(
        'service.datagrams',
        `whether UDP gets through to ${domain} shows only while an agent runs: a relay answers to its keys alone`,
      );
    // What was saved a moment ago has none yet.
    else if (!session) continue;
    else if (used === 'udp') subject.ok('service.datagrams', `UDP gets through to ${domain}`);
    else if (used === undefined)
      subject.warning('service.datagrams', `no way for datagrams to ${domain} stands at the moment`);
    else if (carrier === 'ws')
      subject.ok('service.datagrams', `datagrams go to ${domain} in a WebSocket, as \`carrier: ws\` says`);
    else
      subject.warning(
        'service.datagrams',
        `UDP does not get through to ${domain}, so datagrams go in a WebSocket: slower, and a lost one holds up the others`,
        `Let UDP out to ${domain}, port ${port} unless its operator says another; \`carrier: ws\` stops trying.`,
      );
  }
}
