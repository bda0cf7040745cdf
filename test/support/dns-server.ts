import { createSocket } from 'node:dgram';
import { decode, encode, type Answer, type RecordType } from 'dns-packet';
import { onTestFinished } from 'vitest';

/** What the server says of a name: records, that there is no such name, that it failed, or nothing at all. */
export type Said = readonly Answer[] | 'NXDOMAIN' | 'SERVFAIL' | 'silence';

export interface TestDns {
  /** `127.0.0.1:PORT` */
  readonly address: string;
  /** Names and types asked for so far, as `TXT _portal.shop.test`. */
  readonly asked: string[];
}

/** A DNS server that a test decides the answers of; it closes with the test. */
export async function dnsServer(answer: (name: string, type: RecordType) => Said): Promise<TestDns> {
  const asked: string[] = [];
  const socket = createSocket('udp4', (message, remote) => {
    const query = decode(message);
    const [question] = query.questions ?? [];
    if (!question) return;
    asked.push(`${question.type} ${question.name}`);
    const said = answer(question.name.toLowerCase(), question.type);
    if (said === 'silence') return;
    const rcode = said === 'NXDOMAIN' ? 3 : said === 'SERVFAIL' ? 2 : 0;
    const reply = encode({
      type: 'response',
      id: query.id ?? 0,
      // Recursion available, authoritative; the lowest four bits are the answer's code.
      flags: 0x0480 | ((query.flags ?? 0) & 0x0100) | rcode,
      questions: [question],
      answers: typeof said === 'string' ? [] : [...said],
    });
    socket.send(reply, remote.port, remote.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    socket.close();
  });
  return { address: `127.0.0.1:${socket.address().port}`, asked };
}

/** Answers that lead every name to this machine. */
export const everythingHere = (name: string, type: RecordType): Said =>
  type === 'A' ? [{ type: 'A', name, ttl: 1, data: '127.0.0.1' }] : [];
