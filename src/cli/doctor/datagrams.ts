import type { ServiceSpec } from '../../agent/spec.js';
import type { ServiceContext } from './service.js';
import type { Subject } from './report.js';

/**
 * Reports how the datagrams of a service in mode udp travel. A relay replies only to packets with the keys of a
 * session, so only a running agent can show whether UDP gets through.
 */
export function checkDatagrams(
  { carrier }: ServiceSpec,
  { relays, sessions }: Pick<ServiceContext, 'relays' | 'sessions'>,
  subject: Subject,
): void {
  for (const { key, domain, port, inChain } of relays) {
    if (inChain) {
      subject.ok('service.datagrams', 'over a chain, datagrams travel in a WebSocket');
      continue;
    }
    const session = sessions?.find(({ relay }) => relay === key);
    const used = session?.datagrams?.carrier;
    if (!sessions)
      subject.ok('service.datagrams', `only a running agent shows whether UDP gets through to ${domain}`);
    // A service that was saved a moment ago has no session yet.
    else if (!session) continue;
    else if (used === 'udp') subject.ok('service.datagrams', `UDP gets through to ${domain}`);
    else if (used === undefined)
      subject.warning(
        'service.datagrams',
        `the agent has no connection for datagrams to ${domain} now; it retries`,
      );
    else if (carrier === 'ws')
      subject.ok(
        'service.datagrams',
        `datagrams travel to ${domain} in a WebSocket, because of \`carrier: ws\``,
      );
    else
      subject.warning(
        'service.datagrams',
        `UDP does not get through to ${domain}, so datagrams travel in a WebSocket: slower, and a lost packet delays the others`,
        `Allow outgoing UDP to ${domain}, port ${port}, or the port that its operator names. If the relay is yours, also open ${port}/udp in the firewall of its server and at its hosting provider. \`carrier: ws\` stops the attempts.`,
      );
  }
}
