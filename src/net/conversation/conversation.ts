import { H1Conversation } from './h1.js';
import { H2Conversation } from './h2.js';

/**
 * The state of a connection's HTTP exchanges. `between`: no exchange is in progress. `exchange`: one is. `endless`: a
 * response that ends only with the connection, for example an event stream. `other`: another protocol, perhaps after an
 * upgrade. `unclear`: the target spoke last, and perhaps in the middle of a response.
 */
export type Progress = 'between' | 'exchange' | 'endless' | 'other' | 'unclear';

/** Follows the bytes of one connection, to know when it can end without breaking an exchange. */
export interface Conversation {
  /** The visitor sent the bytes from `start` to `end` of `bytes`, and Portal forwarded them. */
  visitorSent(bytes: Buffer, start: number, end: number): void;
  /** The target sent these bytes. */
  targetSent(bytes: Buffer, start: number, end: number): void;
  readonly progress: Progress;
  /** Calls `then` after the last byte of the next exchange. That exchange must begin after this call. */
  onceExchanged?(then: () => void): void;
  /** Returns the bytes to forward instead, so that the visitor learns that this exchange is the last one. */
  closing?(bytes: Buffer, start: number, end: number): Buffer | undefined;
}

/** Returns undefined for unknown protocols. Without ALPN, the visitor's first line shows whether it is HTTP. */
export function conversationIn(alpn: string | undefined): Conversation | undefined {
  if (alpn === 'http/1.1' || alpn === 'http/1.0') return new H1Conversation(true);
  if (alpn === undefined) return new H1Conversation(false);
  return alpn === 'h2' ? new H2Conversation() : undefined;
}
