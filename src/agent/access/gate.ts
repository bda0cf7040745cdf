import type { Exchange } from '../modes/http/exchange.js';
import type { Page } from '../pages.js';
import type { AccessSpec, ServiceSpec } from '../spec.js';
import type { RejectionReason, Rejections } from './rejections.js';

/**
 * A kind of gate: what the rest of Portal must know about it without opening one. Each kind has one file, which `gates.ts`
 * lists. Its settings are one key of `access` in the schema.
 */
export interface GateKind {
  /** Its key under `access`. */
  readonly key: keyof AccessSpec;
  /** Its name in events, in counts and in `status`. */
  readonly reason: RejectionReason;
  /** Whether it reads requests. A service with such a gate is served as HTTP. */
  readonly readsHttp: boolean;
  /** Request header fields for the gate alone, in lower case. The target does not get them, and the inspector hides them. */
  readonly strips: readonly string[];
  /** Its own paths, on which it responds instead of the target while it is set. */
  readonly paths: readonly string[];
  /** Arguments with which curl passes it, with a placeholder for the secret. Default: only a browser passes, if it reads requests. */
  readonly curl?: string;
  /** Whether `after` admits visitors that `before` rejected. */
  widens(before: AccessSpec, after: AccessSpec): boolean;
  /** Which visitors pass, for example `with a PIN`. Undefined if the gate is not set. Contains no secret. */
  describe(access: AccessSpec): string | undefined;
  /** The gate of one lease. It admits everyone while its key is not set. */
  open(options: GateOptions): Gate;
}

export interface GateOptions {
  readonly spec: ServiceSpec;
  /** Signs visitors' sessions. Secret, and the same after a restart. */
  readonly sessionKey: Buffer;
  /** Counts and reports rejected requests. `Gates` does so for rejected addresses. */
  readonly rejections: Rejections;
}

/** A gate of one lease. */
export interface Gate {
  /** Whether a visitor may connect from this address, the one that the relay saw. Default: any may. */
  admits?(address: string): boolean;
  /** For a rejected address in modes that have pages. Required with `admits`. */
  page?(address: string): Page;
  /**
   * Checks a request. Returns the exchange to continue with: the same one, or one around it, for example after the gate has
   * read the body. Returns undefined if the gate responds. Default: every request passes.
   */
  ask?(exchange: Exchange): Passed | Promise<Passed>;
  /** Applies new settings. Returns whether connected visitors must connect again to pass this gate. */
  update(spec: ServiceSpec): boolean;
}

export type Passed = Exchange | undefined;
