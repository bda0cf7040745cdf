import { udpService, udpVisitor, type UdpVisitor } from '../support/udp.js';
import type { Place } from './mode.js';
import { complies } from './suite.js';

const NO_END = 'a conversation in datagrams has no visible end';

complies({
  mode: 'udp',
  /** Answers a datagram with a datagram, and an empty one with the name only. */
  async start(name, port) {
    const service = await udpService((payload) => {
      const text = payload.toString();
      return Buffer.from(text === '' ? name : `${name}:${text}`);
    }, port);
    return { port: service.port, stop: service.close };
  },
  async ask(place) {
    const visitor = await open(place);
    return answered(visitor, '').finally(() => visitor.close());
  },
  async converse(place) {
    const visitor = await open(place);
    return {
      say: (text) => answered(visitor, text),
      end: () => Promise.resolve(visitor.close()),
      ended: new Promise(() => undefined),
    };
  },
  whenDown: /no answer/,
  whenGone: /no answer/,
  exceptions: {
    'lets visitors finish when the agent stops': NO_END,
    'disconnects visitors who do not finish in time': NO_END,
    'moves to another name without a gap': `the old name's port closes once the new one is ready: ${NO_END}`,
  },
});

function open({ address }: Place): Promise<UdpVisitor> {
  return udpVisitor(Number(address.udpAddr!.split(':')[1]));
}

function answered(visitor: UdpVisitor, text: string): Promise<string> {
  const silence = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('no answer')), 3_000).unref();
  });
  return Promise.race([visitor.ask(text), silence]);
}
