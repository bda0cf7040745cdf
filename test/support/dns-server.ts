import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { randomInt } from 'node:crypto';
import { decode, encode, type Answer, type RecordType } from 'dns-packet';
import { onTestFinished, type TestContext } from 'vitest';

/** The server's answer for a name: records, "no such name", a failure, or no answer. */
export type Said = readonly Answer[] | 'NXDOMAIN' | 'SERVFAIL' | 'silence';

export interface TestDns {
  /** `127.0.0.1:PORT` */
  readonly address: string;
  /** Names and types queried so far, as `TXT _portal.shop.test`. */
  readonly requested: string[];
  /** Queries over TCP, because the answer was too long for a datagram. */
  readonly overTcp: () => number;
}

/**
 * Longer answers are truncated over UDP, and queried again over TCP: the size limit is the client's (EDNS, RFC 6891
 * §6.2.5).
 */
const MIN_DATAGRAM_BYTES = 512;
const TRUNCATED = 0x0200;

/** A DNS server whose answers a test decides. It closes with the test. */
export async function dnsServer(
  answer: (name: string, type: RecordType) => Said,
  options: { tcp?: 'silent'; at?: { address: string; port: number } } = {},
): Promise<TestDns> {
  const requested: string[] = [];
  let overTcp = 0;
  const answerTo = (message: Buffer, maxBytes: number): Buffer | undefined => {
    const query = decode(message);
    const [question] = query.questions ?? [];
    if (!question) return undefined;
    requested.push(`${question.type} ${question.name}`);
    const said = answer(question.name.toLowerCase(), question.type);
    if (said === 'silence') return undefined;
    const rcode = said === 'NXDOMAIN' ? 3 : said === 'SERVFAIL' ? 2 : 0;
    const reply = {
      type: 'response' as const,
      id: query.id ?? 0,
      // Recursion available, authoritative. The lowest four bits are the response code.
      flags: 0x0480 | ((query.flags ?? 0) & 0x0100) | rcode,
      questions: [question],
    };
    const whole = encode({ ...reply, answers: typeof said === 'string' ? [] : [...said] });
    return whole.length <= maxBytes ? whole : encode({ ...reply, flags: reply.flags | TRUNCATED });
  };
  const { address = '127.0.0.1', port } = options.at ?? {};
  const { udp, tcp } = await bothAtOnePort(address, port);
  udp.on('message', (message, remote) => {
    const [edns] = decode(message).additionals?.filter(({ type }) => type === 'OPT') ?? [];
    const reply = answerTo(
      message,
      Math.max(MIN_DATAGRAM_BYTES, (edns as { udpPayloadSize?: number } | undefined)?.udpPayloadSize ?? 0),
    );
    if (reply) udp.send(reply, remote.port, remote.address);
  });
  const connections = new Set<Socket>();
  tcp.on('connection', (socket) => {
    connections.add(socket);
    socket.on('error', () => undefined).on('close', () => connections.delete(socket));
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
        const end = 2 + received.readUInt16BE();
        const reply = answerTo(received.subarray(2, end), 65_535);
        received = received.subarray(end);
        overTcp += 1;
        if (!reply || options.tcp === 'silent') continue;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(reply.length);
        socket.write(Buffer.concat([length, reply]));
      }
    });
  });
  onTestFinished(() => {
    udp.close();
    for (const socket of connections) socket.destroy();
    tcp.close();
  });
  return { address: `${address}:${udp.address().port}`, requested, overTcp: () => overTcp };
}

/** DNS uses one port number for UDP and TCP. */
async function bothAtOnePort(address: string, wanted = 0): Promise<{ udp: UdpSocket; tcp: Server }> {
  for (;;) {
    const udp = createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      udp.once('error', reject);
      udp.bind(wanted, address, resolve);
    });
    const tcp = createServer();
    const { port } = udp.address();
    const failure = await new Promise<Error | undefined>((resolve) => {
      tcp.once('error', resolve);
      tcp.listen(port, address, () => resolve(undefined));
    });
    if (!failure) return { udp, tcp };
    udp.close();
    if (wanted !== 0) throw failure;
  }
}

/**
 * A DNS server that programs of the test find in their resolv.conf: on port 53 of a loopback address that no other test
 * uses. A query that it does not answer fails after 30 seconds. Skips the test if that is not allowed.
 */
export async function systemDns(
  context: TestContext,
  answer: (name: string, type: RecordType) => Said,
): Promise<{ resolvConf: string }> {
  const address = `127.${randomInt(64, 128)}.${randomInt(256)}.${randomInt(1, 255)}`;
  try {
    await dnsServer(answer, { at: { address, port: 53 } });
  } catch (error) {
    return context.skip(`no DNS server can listen at ${address}:53 here (${(error as Error).message})`);
  }
  return { resolvConf: `nameserver ${address}\noptions timeout:30 attempts:1\n` };
}

/** Answers that lead every name to this machine. */
export const everythingHere = (name: string, type: RecordType): Said =>
  type === 'A' ? [{ type: 'A', name, ttl: 1, data: '127.0.0.1' }] : [];
