import { H1Conversation } from './h1.js';
import { H2Conversation } from './h2.js';

/**
 * How far the exchanges of a connection are. `between`: none is under way. `exchange`: one is. `endless`: an answer that ends
 * with the connection alone, as an event stream does. `other`: another protocol, perhaps after an upgrade. `unclear`: the
 * target spoke last.
 */
export type Progress = 'between' | 'exchange' | 'endless' | 'other' | 'unclear';

/** Follows the bytes of one connection, to know when it can end without breaking an exchange. */
export interface Conversation {
  /** The visitor said `bytes` from `start` to `end`, and they were forwarded. */
  asked(bytes: Buffer, start: number, end: number): void;
  /** The target said them. */
  answered(bytes: Buffer, start: number, end: number): void;
  readonly progress: Progress;
  /** Calls `then` as the last byte of an exchange has passed, of one that begins from here on. */
  onceExchanged?(then: () => void): void;
  /** What to forward instead of what the target says, so that the visitor knows that this exchange is the last. */
  closing?(bytes: Buffer, start: number, end: number): Buffer | undefined;
}

/** Undefined for protocols that nothing is known of. Without ALPN, the visitor's first line tells whether it is HTTP. */
export function conversationIn(alpn: string | undefined): Conversation | undefined {
  if (alpn === 'http/1.1' || alpn === 'http/1.0') return new H1Conversation(true);
  if (alpn === undefined) return new H1Conversation(false);
  return alpn === 'h2' ? new H2Conversation() : undefined;
}
