import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import type { RelaySpec } from '../../src/agent/spec.js';
import type { TlsOptions, TLSSocket } from 'node:tls';
import { generateIdentity } from '../../src/identity/keys.js';
import { buildChallenge, STATEMENTS, type ChallengeFields } from '../../src/protocol/challenge.js';
import { channelOf } from '../../src/protocol/channel.js';
import { proveRelay } from '../../src/protocol/relay-proof.js';
import type { FromAgent, FromRelay } from '../../src/protocol/messages.js';
import { caFolder } from './ca-pool.js';

export interface FakeRelay {
  readonly spec: RelaySpec;
  readonly authority: string;
  readonly caPem: string;
  /** All messages from agents, over all their channels. */
  readonly received: FromAgent[];
  /** How many channels were opened so far. */
  readonly channels: number;
  /** The highest number of TCP connections, of any kind, that were open at a time. */
  readonly mostOpen: number;
}

export interface Channel {
  readonly ws: WebSocket;
  say(message: FromRelay | object): void;
  /** The challenge of an honest relay, with the changes of `over` in its text and in the message. */
  challenge(hello: FromAgent<'hello'>, over?: Partial<ChallengeFields>, message?: object): void;
  /** That of an honest relay, with the changes of `over`. */
  welcome(over?: object): void;
  /** Buffers writes, and sends them as one. */
  inOneWrite(say: () => void): void;
}

/** A relay whose responses the test decides, so that an agent meets a broken or hostile relay. */
export async function fakeRelay(
  onMessage: (message: FromAgent, channel: Channel) => void,
  onOpen: (channel: Channel) => void = () => undefined,
  tls: TlsOptions = {},
): Promise<FakeRelay> {
  const ca = await openLocalCa(await caFolder());
  const server = createServer({ ...(await ca.issue(['localhost'])), ...tls });
  const websockets = new WebSocketServer({ server, handleProtocols: ([first]) => first ?? false });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const authority = `localhost:${port}`;
  const received: FromAgent[] = [];
  let channels = 0;
  let open = 0;
  let mostOpen = 0;
  server.on('connection', (socket) => {
    mostOpen = Math.max(mostOpen, ++open);
    socket.once('close', () => open--);
  });
  const identity = generateIdentity();
  websockets.on('connection', (ws, request) => {
    channels++;
    // TLS 1.2 has no such message, so the test sends something itself.
    const own = channelOf(request.socket as TLSSocket) ?? '00'.repeat(32);
    const channel: Channel = {
      ws,
      say: (message) => ws.send(JSON.stringify(message)),
      challenge: ({ address, nonce = '' }, over = {}, message = {}) => {
        const issuedAt = new Date();
        const expiresAt = new Date(issuedAt.getTime() + 60_000);
        const uri = `https://${over.domain ?? authority}`;
        const { control: statement } = STATEMENTS;
        const fields = {
          domain: authority,
          address,
          uri,
          nonce: 'abcdefgh12345678',
          issuedAt,
          expiresAt,
          channel: own,
          statement,
        };
        channel.say({
          type: 'challenge',
          message: buildChallenge({ ...fields, ...over }),
          relay: proveRelay(identity, { url: `https://${authority}`, nonce, channel: own }),
          ...message,
        });
      },
      welcome: (over = {}) =>
        channel.say({
          type: 'welcome',
          session: 's',
          publicPort: port,
          capabilities: ['stream'],
          carriers: ['raw'],
          heartbeatMs: 60_000,
          ...over,
        }),
      inOneWrite: (say) => {
        request.socket.cork();
        say();
        request.socket.uncork();
      },
    };
    ws.on('error', () => undefined);
    ws.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as FromAgent;
      received.push(message);
      onMessage(message, channel);
    });
    onOpen(channel);
  });
  onTestFinished(() => {
    for (const client of websockets.clients) client.terminate();
    websockets.close();
    server.closeAllConnections();
    server.close();
  });
  return {
    spec: { kind: 'url', url: `https://${authority}`, caFile: ca.certificateFile },
    authority,
    caPem: ca.certificatePem,
    received,
    get channels() {
      return channels;
    },
    get mostOpen() {
      return mostOpen;
    },
  };
}

/** Sends an honest relay's messages up to `welcome`. Everything after it is up to the test. */
export function honestHandshake(
  after: (message: FromAgent, channel: Channel) => void,
): (message: FromAgent, channel: Channel) => void {
  return (message, channel) => {
    if (message.type === 'hello') channel.challenge(message);
    else if (message.type === 'prove') channel.welcome();
    else after(message, channel);
  };
}
