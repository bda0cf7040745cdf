import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import type { Identity } from '../../src/identity/identity.js';
import type {
  AgentsResponse,
  AgentView,
  SignInChallenge,
  SignInResponse,
} from '../../src/protocol/agents.js';
import { onTestFinished } from 'vitest';
import type { TestRelay } from './world.js';

/** Requests a relay's agents of an identity by hand, as a program or as a browser does. */

type At = Pick<TestRelay, 'port' | 'ca' | 'url'>;

export interface Said {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

export interface Question {
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON, or plain text. */
  readonly body?: object | string;
  /** From `oneConnection`. By default each request opens a new connection. */
  readonly over?: Agent;
}

/** One TLS connection for several requests: a challenge must be answered on the connection that it came from. */
export function oneConnection(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return agent;
}

export function ask(
  at: At,
  method: string,
  path: string,
  { token, headers = {}, body, over }: Question = {},
): Promise<Said> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      host: '127.0.0.1',
      port: at.port,
      servername: 'localhost',
      ca: at.ca.certificatePem,
      agent: over ?? false,
      method,
      path,
      headers: {
        host: new URL(at.url).host,
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
    });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('end', () => {
        const text = Buffer.concat(chunks).toString();
        const isJson = response.headers['content-type'] === 'application/json';
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          text,
          body: isJson ? (JSON.parse(text) as Said['body']) : {},
        });
      });
    });
    outgoing.end(typeof body === 'object' ? JSON.stringify(body) : body);
  });
}

export async function challenge(at: At, address: string, over?: Agent): Promise<SignInChallenge> {
  const relayNonce = randomBytes(16).toString('hex');
  const { status, text, body } = await ask(at, 'POST', '/v1/sign-in/challenge', {
    body: { address, relayNonce },
    ...(over && { over }),
  });
  if (status !== 200) throw new Error(`${status} ${text}`);
  return body as unknown as SignInChallenge;
}

/** A token for `identity`. */
export async function signIn(at: At, identity: Identity): Promise<string> {
  const over = oneConnection();
  const { nonce, message } = await challenge(at, identity.address, over);
  const { status, text, body } = await ask(at, 'POST', '/v1/sign-in', {
    body: { nonce, signature: identity.sign(message) },
    over,
  });
  over.destroy();
  if (status !== 200) throw new Error(`${status} ${text}`);
  return (body as unknown as SignInResponse).token;
}

/** The agents that `token` sees. */
export async function seen(at: At, token: string): Promise<AgentsResponse> {
  const { status, text, body } = await ask(at, 'GET', '/v1/agents', { token });
  if (status !== 200) throw new Error(`${status} ${text}`);
  return body as unknown as AgentsResponse;
}

/** Repeats the request until `match` finds an agent among those that `token` sees. */
export async function seenAgent(
  at: At,
  token: string,
  match: (agent: AgentView) => boolean = () => true,
): Promise<AgentView> {
  for (;;) {
    const { agents } = await seen(at, token);
    const found = agents.find(match);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
}
