import type { Identity } from '../../identity/identity.js';
import type { Logger } from '../../lib/logger.js';
import type { ProxyFor } from '../../net/proxy/server.js';
import type { Exchange, Headers } from '../modes/http/exchange/exchange.js';
import type { Page } from '../pages/page.js';
import type { ServiceSpec } from '../spec.js';
import type { Rejections } from './rejections.js';
import type { Shares } from './share/shares.js';

export interface GateOptions {
  readonly spec: ServiceSpec;
  /** Signs visitors' sessions. Secret, and the same after a restart. */
  readonly sessionKey: Buffer;
  /** Owns the service. */
  readonly identity: Identity;
  /** Share links. Default: links open nothing. */
  readonly shares?: Shares | undefined;
  /** Counts and reports rejected requests. `Gates` does so for rejected addresses. */
  readonly rejections: Rejections;
  /** The proxy for connections of gates. Default: none. */
  readonly proxyFor?: ProxyFor | undefined;
  /** Called when visitors cannot sign in with the provider of `oidc`: each kind once, until one can (undefined). */
  readonly onSignIn?: (failure: SignInFailure | undefined) => void;
  /** For what the owner must know. Default: nothing is logged. */
  readonly log?: Logger;
}

/** Why visitors cannot sign in. */
export interface SignInFailure {
  /** `down`: the provider does not respond. `rejected`: it rejected a sign-in for a reason that is not the visitor's. */
  readonly kind: 'down' | 'rejected';
  /** Of the provider. */
  readonly issuer: string;
  /** In words. */
  readonly reason: string;
}

/** Who visits, as far as it is known before the first byte. */
export interface Visitor {
  /** The address that the relay saw. */
  readonly address: string;
  /** The address of the identity that `portal connect` has proven, EIP-55. */
  readonly identity?: string;
}

/** A gate of one lease. */
export interface Gate {
  /** Whether a visitor may connect. Default: any may. */
  admits?(visitor: Visitor): boolean;
  /** For a rejected visitor in modes that have pages. Required with `admits`. */
  page?(visitor: Visitor): Page;
  /**
   * Checks a request. Returns the exchange to continue with: the same one, or one around it, for example after the gate has
   * read the body. Returns undefined if the gate responds. Default: every request passes.
   */
  ask?(exchange: Exchange): Passed | Promise<Passed>;
  /** The exchange without header fields for this gate alone. For requests that pass without being asked. Default: unchanged. */
  strip?(exchange: Exchange): Exchange;
  /** Whether the visitor has signed in, so that it does not pass with a share link. Default: none has. */
  knows?(exchange: Exchange): boolean;
  /** The header fields of a request without secrets for this gate, for the inspector. Default: unchanged. */
  redact?(headers: Headers): Headers;
  /** Applies new settings. Returns whether connected visitors must connect again to pass this gate. */
  update(spec: ServiceSpec): boolean;
}

export type Passed = Exchange | undefined;
