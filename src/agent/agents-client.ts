import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Identity } from '../identity/identity.js';
import { asPortalError, PortalError } from '../lib/errors.js';
import { readBounded } from '../lib/read-bounded.js';
import { within } from '../lib/wait.js';
import type { AgentsResponse, LinkResponse } from '../protocol/agents.js';
import { readResponse } from '../protocol/agents-decode.js';
import { STATEMENTS } from '../protocol/challenge.js';
import { LIMITS, PATHS } from '../protocol/limits.js';
import { signChallenge } from './session/sign-challenge.js';
import { connectError } from './session/connect-error.js';
import { relayError } from './session/control.js';
import { openTcp, relayTls, destinationOf, type RelayEndpoint } from './session/relay-endpoint.js';

export interface AgentsClientOptions {
  readonly endpoint: RelayEndpoint;
  readonly identity: Identity;
  /** Timeout of the sign-in, and of each later request. */
  readonly ms: number;
  readonly signal?: AbortSignal;
}

/**
 * A client that is signed in at a relay to manage the agents of an identity. Everything happens in one TLS session, in which
 * the relay has proven its key, so later responses come from the trusted relay.
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
    // Only over this connection: another one would need a new proof.
    this.#agent.createConnection = (_options, done) => {
      if (!isUsed) {
        isUsed = true;
        return socket;
      }
      // Never thrown: when a connection breaks, node requests another one, where no one would catch the error.
      setImmediate(() => done?.(this.#closed(), socket));
      return undefined;
    };
  }

  /** Throws `relay_unreachable`, `relay_untrusted`, `capability_missing`, `unauthorized`… */
  static async signIn(options: AgentsClientOptions): Promise<AgentsClient> {
    const { endpoint, ms, signal } = options;
    let socket: TLSSocket | undefined;
    try {
      socket = relayTls(endpoint, await openTcp(destinationOf(endpoint), ms, signal));
      // The next request reports a connection that fails while idle.
      socket.on('error', () => undefined);
      const client = new AgentsClient(options, socket);
      await within(client.#signIn(), ms, `signing in at ${endpoint.url}`, signal);
      return client;
    } catch (error) {
      socket?.destroy();
      throw connectError(error, endpoint);
    }
  }

  async agents(): Promise<AgentsResponse> {
    return readResponse('agents', await this.#ask('GET', PATHS.agents));
  }

  async disconnect(id: string): Promise<void> {
    await this.#ask('POST', `${PATHS.agents}/${id}/disconnect`);
  }

  async release(name: string): Promise<void> {
    await this.#ask('DELETE', `${PATHS.names}/${encodeURIComponent(name)}`);
  }

  /** A one-time link to the relay's page that signs a browser in. It expires soon. */
  async link(): Promise<LinkResponse> {
    const link = readResponse('link', await this.#ask('POST', `${PATHS.signIn}/link`));
    // Only a link to the relay itself may be opened in a browser.
    if (URL.canParse(link.url) && new URL(link.url).origin === new URL(this.#options.endpoint.url).origin)
      return link;
    throw new PortalError('protocol', `${this.#options.endpoint.url} returned a link to another origin`);
  }

  /** Signs out within the timeout, and closes the connection. */
  async close(): Promise<void> {
    try {
      await this.#ask('DELETE', PATHS.signIn);
    } catch {
      // The session expires soon anyway.
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
    const challenge = readResponse(
      'challenge',
      await this.#ask('POST', `${PATHS.signIn}/challenge`, { address, relayNonce }),
    );
    const { signature } = await signChallenge(challenge, {
      endpoint,
      identity,
      nonce: relayNonce,
      socket: this.#socket,
      statement: STATEMENTS.signIn,
    });
    const proof = { nonce: challenge.nonce, signature };
    const { token } = readResponse('signIn', await this.#ask('POST', PATHS.signIn, proof));
    this.#token = token;
  }

  async #ask(method: string, path: string, body?: object): Promise<string> {
    const { endpoint, ms, signal } = this.#options;
    try {
      const { status, text } = await within(
        this.#exchange(method, path, body),
        ms,
        `a response from ${endpoint.url}`,
        signal,
      );
      if (status === 200) return text;
      throw refusal(endpoint.url, path, status, text);
    } catch (error) {
      throw connectError(error, endpoint);
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
      // The only report of a connection that failed between two requests.
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
        void readBounded(response, LIMITS.maxAgentsResponseBytes, tooLong)
          .then((text) => resolve({ status: response.statusCode ?? 0, text: text.toString('utf8') }), reject)
          .finally(() => this.#socket.off('error', reject));
      });
      outgoing.end(body && JSON.stringify(body));
    });
  }
}

const tooLong = (): PortalError =>
  new PortalError(
    'limit_exceeded',
    `the response of the relay exceeds ${LIMITS.maxAgentsResponseBytes} bytes`,
  );

/** The error for an unsuccessful status, with the relay's own code if there is one. */
function refusal(url: string, path: string, status: number, text: string): PortalError {
  // A relay without this feature, for example an older version, responds as to any unknown path.
  if (path === `${PATHS.signIn}/challenge` && (status === 404 || status === 405))
    return new PortalError('capability_missing', `${url} does not show agents`, {
      hint: 'The relay runs an older version, or its operator disabled this.',
    });
  try {
    const { code, message } = JSON.parse(text) as { code?: unknown; message?: unknown };
    if (typeof code === 'string' && typeof message === 'string')
      return relayError({ type: 'error', code, message: message.slice(0, 1_000) });
  } catch (error) {
    return new PortalError('relay_unreachable', `${url} does not respond like a relay (HTTP ${status})`, {
      cause: asPortalError(error),
    });
  }
  return new PortalError('relay_unreachable', `${url} returned HTTP ${status}`);
}
