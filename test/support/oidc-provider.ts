import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type Provider from 'oidc-provider';
import { onTestFinished, vi } from 'vitest';

/** A real OpenID Connect provider on this machine. */

export const CLIENT_ID = 'portal';
export const CLIENT_SECRET = 'a secret of portal';

const TTL_S = 3_600;

type Claims = Readonly<Record<string, unknown>>;

export interface TestProvider {
  readonly issuer: string;
  /** Starts the provider, which returns visitors to these URIs. Before, requests get a 503. */
  register(...redirectUris: string[]): void;
  /** The account that signs in next. Undefined: a form asks for it. */
  account: string | undefined;
  /** By account: what the provider says about it. */
  readonly claims: Map<string, Claims>;
  /** By account: what only UserInfo says, instead of `claims`. */
  readonly inUserInfo: Map<string, Claims>;
  /** Paths of requests so far. */
  readonly requests: string[];
}

interface ProviderOptions {
  readonly isPublic?: boolean;
  readonly inIdToken?: boolean;
  /** Values of `prompt` that it lists. Default: no list. */
  readonly prompts?: readonly string[];
}

export async function oidcProvider(options: ProviderOptions = {}): Promise<TestProvider> {
  const { isPublic = false, inIdToken = false, prompts } = options;
  let serve = unavailable;
  const OidcProvider = await quietly(async () => (await import('oidc-provider')).default);
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url!.split('?', 1)[0]!);
    serve(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const issuer = `http://localhost:${(server.address() as AddressInfo).port}`;
  const test: TestProvider = {
    issuer,
    account: 'alice',
    claims: new Map(),
    inUserInfo: new Map(),
    requests,
    register(...redirectUris) {
      const settings = {
        clients: [
          {
            client_id: CLIENT_ID,
            redirect_uris: redirectUris,
            ...(isPublic ? { token_endpoint_auth_method: 'none' } : { client_secret: CLIENT_SECRET }),
          },
        ],
        claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
        scopes: ['openid', 'email', 'groups'],
        conformIdTokenClaims: !inIdToken,
        pkce: { required: () => true },
        findAccount: (_context: unknown, id: string) => ({
          accountId: id,
          claims: (use: string) => ({
            sub: id,
            ...((use === 'userinfo' && test.inUserInfo.get(id)) || test.claims.get(id)),
          }),
        }),
        ttl: { Interaction: TTL_S, Session: TTL_S, Grant: TTL_S, AccessToken: TTL_S, IdToken: TTL_S },
        ...(prompts && { discovery: { prompt_values_supported: prompts } }),
        // Every account agrees.
        loadExistingGrant: async ({ oidc }: GrantContext) => {
          const grant = new oidc.provider.Grant({ clientId: CLIENT_ID, accountId: oidc.session.accountId });
          grant.addOIDCScope('openid email groups');
          await grant.save();
          return grant;
        },
      };
      const provider = quietly(() => new OidcProvider(issuer, settings));
      const callback = provider.callback() as RequestListener;
      serve = (request, response) => {
        const { account } = test;
        if (account === undefined || !isInteraction(request)) return callback(request, response);
        void provider.interactionFinished(request, response, { login: { accountId: account } });
      };
    },
  };
  return test;
}

const unavailable: RequestListener = (_request, response) => void response.writeHead(503).end();

/** Loads or creates a provider, which warns that neither is for production, without its warnings. */
function quietly<T>(does: () => T): T {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const done = does();
  if (done instanceof Promise) void done.then(() => warn.mockRestore());
  else warn.mockRestore();
  return done;
}

const isInteraction = ({ url = '' }: IncomingMessage): boolean => /^\/interaction\/[\w-]+$/.test(url);

interface GrantContext {
  readonly oidc: {
    readonly provider: Provider;
    readonly session: { readonly accountId: string };
  };
}

/** A browser's cookies at one site, by name: each as `name=value`. */
export class Jar {
  readonly #pairs = new Map<string, string>();

  /** The value of the Cookie field. */
  get cookies(): string {
    return [...this.#pairs.values()].join('; ');
  }

  /** @param set values of Set-Cookie fields */
  keep(set: readonly string[] = []): void {
    for (const each of set) {
      const pair = each.split(';', 1)[0]!;
      this.#pairs.set(pair.split('=', 1)[0]!, pair);
    }
  }
}

/**
 * Follows redirects of the provider until it returns the browser to the site. Resolves with the path there.
 *
 * @param origin of the site
 * @param jar the browser's cookies at the provider
 */
export async function throughProvider(url: string, origin: string, jar: Jar): Promise<string> {
  let next = url;
  for (let i = 0; i < 10 && !next.startsWith(`${origin}/`); i++) {
    const answer = await fetch(next, { redirect: 'manual', headers: { cookie: jar.cookies } });
    jar.keep(answer.headers.getSetCookie());
    const to = answer.headers.get('location');
    if (to === null) throw new Error(`${next}: ${answer.status} ${await answer.text()}`);
    next = new URL(to, next).href;
  }
  return next.slice(origin.length);
}
