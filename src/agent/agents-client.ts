import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Identity } from '../identity/identity.js';
import { asPortalError, PortalError } from '../lib/errors.js';
import { readBounded } from '../lib/read-bounded.js';
import { within } from '../lib/wait.js';
import type { AgentsAnswer, LinkAnswer } from '../protocol/agents.js';
import { readAnswer } from '../protocol/agents-decode.js';
import { STATEMENTS } from '../protocol/challenge.js';
import { LIMITS, PATHS } from '../protocol/limits.js';
import { answerChallenge } from './answer-challenge.js';
import { connectError } from './connect.js';
import { relayError } from './control.js';
import { openWay, relayTls, wayTo, type RelayEndpoint } from './relay-way.js';

export interface AgentsClientOptions {
  readonly endpoint: RelayEndpoint;
  readonly identity: Identity;
  /** For signing in, and for each request after that. */
  readonly ms: number;
  readonly signal?: AbortSignal;
}

/**
 * Who is signed in at a relay to see the agents of an identity. All of it is one TLS session, in which the relay has proven its
 * key: what is said later comes from the one that was trusted.
 */
export class AgentsClient {
  readonly #options: AgentsClientOptions;
  readonly #socket: TLSSocket;
  readonly #agent: Agent;
  #token = '';

  private constructor(options: AgentsClientOptions, socket: TLSSocket) {
    this.#options = options;
    this.#socket = socket;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1 });
    let isUsed = false;
    // Over this connection or not at all: another would have to be proven anew.
    this.#agent.createConnection = (_options, done) => {
      if (!isUsed) {
        isUsed = true;
        return socket;
      }
      // Never thrown: node asks for another by itself when a connection breaks, and nobody would catch it there.
      setImmediate(() => done?.(this.#closed(), socket));
      return undefined;
    };
  }

  /** Throws `relay_unreachable`, `relay_untrusted`, `capability_missing`, `unauthorized`… */
  static async signIn(options: AgentsClientOptions): Promise<AgentsClient> {
    const { endpoint, ms, signal } = options;
    let socket: TLSSocket | undefined;
    try {
      socket = relayTls(endpoint, await openWay(wayTo(endpoint), ms, signal));
      // One that fails later, while nobody asks, is met at the next request.
      socket.on('error', () => undefined);
      const client = new AgentsClient(options, socket);
      await within(client.#signIn(), ms, `signing in at ${endpoint.url}`, signal);
      return client;
    } catch (error) {
      socket?.destroy();
      throw connectError(error, endpoint.url);
    }
  }

  async agents(): Promise<AgentsAnswer> {
    return readAnswer('agents', await this.#ask('GET', PATHS.agents));
  }

  async disconnect(id: string): Promise<void> {
    await this.#ask('POST', `${PATHS.agents}/${id}/disconnect`);
  }

  async release(name: string): Promise<void> {
    await this.#ask('DELETE', `${PATHS.names}/${encodeURIComponent(name)}`);
  }

  /** A link to the relay's page that signs a browser in, once and soon. */
  async link(): Promise<LinkAnswer> {
    const answer = readAnswer('link', await this.#ask('POST', `${PATHS.signIn}/link`));
    // It is opened in a browser, as it is.
    if (URL.canParse(answer.url) && new URL(answer.url).origin === new URL(this.#options.endpoint.url).origin)
      return answer;
    throw new PortalError('protocol', `${this.#options.endpoint.url} gives a link to elsewhere`);
  }

  /** Signs out, if that takes no time to speak of. */
  async close(): Promise<void> {
    try {
      await this.#ask('DELETE', PATHS.signIn);
    } catch {
      // Its time is short anyway.
    }
    this.#agent.destroy();
    this.#socket.destroy();
  }

  #closed(): PortalError {
    return new PortalError('relay_unreachable', `${this.#options.endpoint.url} closed the connection`);
  }

  async #signIn(): Promise<void> {
    const { endpoint, identity } = this.#options;
    const { address } = identity;
    const relayNonce = randomBytes(16).toString('hex');
    const challenge = readAnswer(
      'challenge',
      await this.#ask('POST', `${PATHS.signIn}/challenge`, { address, relayNonce }),
    );
    const { signature } = await answerChallenge(challenge, {
      endpoint,
      identity,
      nonce: relayNonce,
      socket: this.#socket,
      statement: STATEMENTS.signIn,
    });
    const proof = { nonce: challenge.nonce, signature };
    const { token } = readAnswer('signIn', await this.#ask('POST', PATHS.signIn, proof));
    this.#token = token;
  }

  async #ask(method: string, path: string, body?: object): Promise<string> {
    const { endpoint, ms, signal } = this.#options;
    try {
      const { status, text } = await within(
        this.#exchange(method, path, body),
        ms,
        `an answer of ${endpoint.url}`,
        signal,
      );
      if (status === 200) return text;
      throw refusal(endpoint.url, path, status, text);
    } catch (error) {
      throw connectError(error, endpoint.url);
    }
  }

  #exchange(
    method: string,
    path: string,
    body: object | undefined,
  ): Promise<{ status: number; text: string }> {
    if (this.#socket.destroyed) return Promise.reject(this.#closed());
    return new Promise((resolve, reject) => {
      const { host, hostname } = new URL(this.#options.endpoint.url);
      // One that failed between two requests tells so here alone.
      this.#socket.once('error', reject);
      const outgoing = request({
        agent: this.#agent,
        host: hostname,
        method,
        path,
        headers: {
          host,
          accept: 'application/json',
          ...(this.#token !== '' && { authorization: `Bearer ${this.#token}` }),
          ...(body && { 'content-type': 'application/json' }),
        },
      });
      outgoing.once('error', reject);
      outgoing.once('response', (response) => {
        void readBounded(response, LIMITS.maxAgentsAnswerBytes, tooLong)
          .then((text) => resolve({ status: response.statusCode ?? 0, text: text.toString('utf8') }), reject)
          .finally(() => this.#socket.off('error', reject));
      });
      outgoing.end(body && JSON.stringify(body));
    });
  }
}

const tooLong = (): PortalError =>
  new PortalError('limit_exceeded', `the relay answers with more than ${LIMITS.maxAgentsAnswerBytes} bytes`);

/** What a relay says in place of an answer, by its own code where there is one. */
function refusal(url: string, path: string, status: number, text: string): PortalError {
  // One that has no such thing, of an older version say, answers as for any path that it does not know.
  if (path === `${PATHS.signIn}/challenge` && (status === 404 || status === 405))
    return new PortalError('capability_missing', `${url} does not show agents`, {
      hint: 'It is of an older version, or its operator switched that off.',
    });
  try {
    const { code, message } = JSON.parse(text) as { code?: unknown; message?: unknown };
    if (typeof code === 'string' && typeof message === 'string')
      return relayError({ type: 'error', code, message: message.slice(0, 1_000) });
  } catch (error) {
    return new PortalError('relay_unreachable', `${url} answers, and not as a relay does (HTTP ${status})`, {
      cause: asPortalError(error),
    });
  }
  return new PortalError('relay_unreachable', `${url} answers with HTTP ${status}`);
}
