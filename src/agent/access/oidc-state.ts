import { createHmac, randomBytes } from 'node:crypto';
import { isSameSecret } from '../../lib/same-secret.js';

/** How long a visitor may take to sign in. */
export const SIGN_IN_MS = 10 * 60_000;

/** A sign-in in progress. */
export interface SignIn {
  /** Sent to the provider, which returns it (RFC 6749, section 4.1.1). */
  readonly state: string;
  /** In the ID token (OpenID Connect Core, section 2). */
  readonly nonce: string;
  /** PKCE (RFC 7636). Known to this agent alone. */
  readonly verifier: string;
}

/** What a sign-in belongs to. */
export interface SignInScope {
  readonly hostname: string;
  /** The value of the cookie in the browser that began it. */
  readonly browser: string;
  /** A hash of the settings of the gate. */
  readonly settings: string;
}

/** A new value for the browser's cookie. */
export const newBrowser = (): string => randomBytes(32).toString('base64url');
export const isBrowser = (text: string): boolean => /^[\w-]{43}$/.test(text);

/**
 * Sign-ins in progress. Nothing is stored: the state carries the path to continue with and its expiry, and is signed for one
 * browser. Nonce and verifier are derived from it. So any agent of the identity can end a sign-in that another began.
 */
export class SignIns {
  readonly #key: Buffer;

  /** @param key secret, and the same for all agents of the identity */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** @param to a path on this host */
  begin(scope: SignInScope, to: string, now: number): SignIn {
    const content = [Math.floor((now + SIGN_IN_MS) / 1_000), to, randomBytes(16).toString('base64url')];
    const text = Buffer.from(JSON.stringify(content)).toString('base64url');
    return this.#derived(scope, `${text}.${this.#hmac('state', scope, text)}`);
  }

  /** Undefined unless `state` is of this scope and has not expired. */
  end(scope: SignInScope, state: string, now: number): (SignIn & { readonly to: string }) | undefined {
    const [, text = '', signature = ''] = /^([\w-]{1,4096})\.([\w-]{43})$/.exec(state) ?? [];
    if (signature === '' || !isSameSecret(signature, this.#hmac('state', scope, text))) return undefined;
    const [until, to] = JSON.parse(Buffer.from(text, 'base64url').toString()) as [number, string];
    return until * 1_000 > now ? { ...this.#derived(scope, state), to } : undefined;
  }

  #derived(scope: SignInScope, state: string): SignIn {
    return {
      state,
      nonce: this.#hmac('nonce', scope, state),
      verifier: this.#hmac('verifier', scope, state),
    };
  }

  #hmac(use: string, { hostname, browser, settings }: SignInScope, text: string): string {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([`sign-in ${use}`, hostname.toLowerCase(), browser, settings, text]))
      .digest('base64url');
  }
}
