import type * as Client from 'openid-client';
import { failureReason } from '../../lib/failure-reason.js';
import { sendRequest } from '../../net/http/send-request.js';
import type { ProxyFor } from '../../net/proxy/server.js';
import type { OidcSpec } from '../spec.js';
import { accountOf, hasEmail, hasGroups, type Account, type Claims } from './oidc-allow.js';
import type { SignIn } from './oidc-state.js';

type Library = typeof Client;

/** Timeout of one request to the provider. */
const REQUEST_MS = 10_000;
const MAX_RESPONSE_BYTES = 1024 * 1024;
/** Pause after a failed discovery. Visitors meanwhile get the same error. */
const PAUSE_MS = 3_000;
/** The provider's settings are read again after this time. */
const DISCOVERED_MS = 24 * 3_600_000;

/** The provider does not respond, or responds with a server error. */
export class ProviderDown extends Error {}

/** The provider rejected the sign-in, or its response is invalid. The message is for the owner. */
export class SignInRejected extends Error {
  /** Whether the visitor is the reason, who cancelled for example. */
  readonly isVisitors: boolean;

  constructor(message: string, isVisitors: boolean) {
    super(message);
    this.isVisitors = isVisitors;
  }
}

/** Errors of the provider about a visitor (RFC 6749, section 4.1.2.1; OpenID Connect Core, section 3.1.2.6). */
const OF_VISITORS: ReadonlySet<unknown> = new Set([
  'access_denied',
  'login_required',
  'interaction_required',
  'consent_required',
  'account_selection_required',
]);

interface Discovered {
  readonly client: Library;
  readonly config: Client.Configuration;
}

/** An OpenID Connect provider (OpenID Connect Core and Discovery 1.0). Nothing is loaded or sent before the first visitor. */
export class OidcProvider {
  readonly #spec: OidcSpec;
  readonly #proxyFor: ProxyFor | undefined;
  #discovered: Promise<Discovered> | undefined;
  #failure: { readonly error: Error; readonly at: number } | undefined;

  constructor(spec: OidcSpec, proxyFor: ProxyFor | undefined) {
    this.#spec = spec;
    this.#proxyFor = proxyFor;
  }

  /**
   * Where the visitor signs in. Throws `ProviderDown`.
   *
   * @param again asks for another account, or for the password again
   */
  async authorizationUrl(
    redirectUri: string,
    { state, nonce, verifier }: SignIn,
    again: boolean,
  ): Promise<string> {
    const { client, config } = await this.#discover();
    const { scopes_supported: scopes = [], prompt_values_supported: prompts } = config.serverMetadata();
    const prompt = promptFor(this.#spec.issuer, prompts);
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri,
      // Providers reject scopes that they do not know.
      scope: ['openid', 'email', ...(scopes.includes('groups') ? ['groups'] : [])].join(' '),
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...(again && { prompt }),
    });
    return url.href;
  }

  /**
   * Who signed in. Throws `ProviderDown` and `SignInRejected`.
   *
   * @param callback the URL to which the provider redirected the visitor
   */
  async accountOf(callback: URL, { state, nonce, verifier }: SignIn): Promise<Account> {
    const { client, config } = await this.#discover();
    try {
      const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier };
      const tokens = await client.authorizationCodeGrant(config, callback, checks);
      const idToken: Claims = { ...tokens.claims() };
      const wantsGroups = this.#spec.allow.groups !== undefined;
      const isWhole = hasEmail(idToken) && (!wantsGroups || hasGroups(idToken));
      if (isWhole || config.serverMetadata().userinfo_endpoint === undefined) return accountOf(idToken);
      const subject = String(idToken['sub']);
      return accountOf(idToken, { ...(await client.fetchUserInfo(config, tokens.access_token, subject)) });
    } catch (error) {
      const down = downIn(error);
      if (down) throw down;
      throw new SignInRejected(messageOf(error), OF_VISITORS.has((error as { error?: unknown }).error));
    }
  }

  /** Reads the provider's settings. Throws `ProviderDown`. */
  async check(): Promise<void> {
    await this.#discover();
  }

  #discover(): Promise<Discovered> {
    const now = performance.now();
    if (this.#failure && now - this.#failure.at < PAUSE_MS) return Promise.reject(this.#failure.error);
    return (this.#discovered ??= this.#read().then(
      (discovered) => {
        this.#failure = undefined;
        setTimeout(() => (this.#discovered = undefined), DISCOVERED_MS).unref();
        return discovered;
      },
      (error: unknown) => {
        this.#discovered = undefined;
        const down = downIn(error) ?? new ProviderDown(messageOf(error));
        this.#failure = { error: down, at: performance.now() };
        throw this.#failure.error;
      },
    ));
  }

  async #read(): Promise<Discovered> {
    const { issuer, clientId, clientSecret } = this.#spec;
    const client = await import('openid-client');
    const config = await client.discovery(
      new URL(issuer),
      clientId,
      undefined,
      clientSecret === undefined ? client.None() : secretOf(client, clientSecret),
      {
        [client.customFetch]: (url, options) => this.#fetch(url, options),
        timeout: REQUEST_MS / 1_000,
        execute: [
          // Also verifies the signature of the ID token, which comes over TLS anyway.
          client.enableNonRepudiationChecks,
          ...(issuer.startsWith('http:') ? [client.allowInsecureRequests] : []),
        ],
      },
    );
    return { client, config };
  }

  async #fetch(url: string, { method, headers, body }: FetchOptions): Promise<Response> {
    const answer = await sendRequest({
      url,
      method,
      headers,
      // The library sends forms only.
      body: body instanceof URLSearchParams ? body.toString() : undefined,
      ms: REQUEST_MS,
      signal: AbortSignal.timeout(REQUEST_MS),
      maxBytes: MAX_RESPONSE_BYTES,
      proxyFor: this.#proxyFor,
    }).catch((error: unknown) => {
      throw new ProviderDown(`${new URL(url).host} is unreachable: ${failureReason(error)}`);
    });
    if (answer.status >= 500) throw new ProviderDown(`${new URL(url).host} responds with ${answer.status}`);
    const fields = Object.entries(answer.headers).map(([name, value]): [string, string] => [
      name,
      String(value),
    ]);
    const isEmpty = answer.status === 204 || answer.status === 304;
    return new Response(isEmpty ? null : answer.text, { status: answer.status, headers: fields });
  }
}

/**
 * Many providers reject or ignore `select_account` (Keycloak, Ory, Entra B2C). `login` lets people enter another account, and
 * Google alone does not have it. `prompts`: those that the provider lists (Initiating User Registration 1.0), if it does.
 */
function promptFor(issuer: string, prompts: unknown): string {
  const hasChoice = Array.isArray(prompts) && prompts.includes('select_account');
  return hasChoice || new URL(issuer).host === 'accounts.google.com' ? 'select_account' : 'login';
}

interface FetchOptions {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: Client.FetchBody;
}

/** `client_secret_basic` is the default (OpenID Connect Core, section 9). */
const secretOf =
  (client: Library, secret: string): Client.ClientAuth =>
  (as, ...rest) => {
    const { token_endpoint_auth_methods_supported: methods = ['client_secret_basic'] } = as;
    const isBasic = methods.includes('client_secret_basic') || !methods.includes('client_secret_post');
    return (isBasic ? client.ClientSecretBasic(secret) : client.ClientSecretPost(secret))(as, ...rest);
  };

/** The library wraps what `#fetch` throws. Undefined if the provider responded. */
function downIn(error: unknown): ProviderDown | undefined {
  for (let each = error; each instanceof Error; each = each.cause)
    if (each instanceof ProviderDown) return each;
  return undefined;
}

interface Said {
  readonly error?: unknown;
  readonly error_description?: unknown;
}

/** What the provider said: in its response, or in the challenge of a 401 (RFC 6750, section 3). */
function saidIn(error: Error): Said {
  const [challenge] = Array.isArray(error.cause) ? (error.cause as { parameters?: Said }[]) : [];
  return challenge?.parameters ?? (error as Said);
}

/** The message with its causes. OAuth errors have a code and a description of the provider. */
function messageOf(error: unknown): string {
  const parts: string[] = [];
  for (let each = error; each instanceof Error && parts.length < 4; each = each.cause) {
    const { error: code, error_description: description } = saidIn(each);
    const said = [code, description].filter((part) => typeof part === 'string').join(': ');
    parts.push(said === '' ? each.message : `${each.message} (${said})`);
  }
  return parts.length > 0 ? parts.join(': ') : String(error);
}
