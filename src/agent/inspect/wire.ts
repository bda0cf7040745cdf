import type { LeaseStatus, RelayStatus } from '../status.js';

/** What the inspector's server and its page say to each other; the page imports these types and nothing else of here. */

/**
 * `open`: under way. `switched`: its connection speaks another protocol now, and is open. `done`: whole.
 * `broken`: the visitor left, or the answer broke off.
 */
export type Outcome = 'open' | 'switched' | 'done' | 'broken';

/** One row of the list. */
export interface RequestRow {
  readonly id: number;
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly method: string;
  /** Path and query, as they came. */
  readonly target: string;
  readonly authority: string;
  /** Address of the visitor. */
  readonly remote: string;
  readonly outcome: Outcome;
  /** Absent until the answer begins. */
  readonly status?: number;
  /** From the request's head to its answer's. */
  readonly firstByteMs?: number;
  /** From the request's head to the end of everything. */
  readonly totalMs?: number;
  /** Of the bodies, as they travelled. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** The answer's media type. */
  readonly type?: string;
  /** The request that this one repeats. */
  readonly replayOf?: number;
  /** It is out of the history. */
  readonly earlier?: true;
}

/** Out of the history, newest first. */
export interface EarlierRequests {
  readonly rows: readonly RequestRow[];
  /** There are more before these. */
  readonly isPart: boolean;
}

export interface Field {
  readonly name: string;
  readonly value: string;
  /** The value is not shown, but for what says nothing. */
  readonly masked?: true;
}

export interface BodyInfo {
  /** As it travelled. */
  readonly bytes: number;
  /** As much of it is kept. */
  readonly keptBytes: number;
  /** Why not all of it is kept. */
  readonly cut?: 'long' | 'load' | 'pin' | 'unread';
  readonly type?: string;
  readonly encoding?: string;
}

export interface MessageInfo {
  readonly headers: readonly Field[];
  readonly trailers: readonly Field[];
  readonly body: BodyInfo;
}

/** Everything of one request but the bodies themselves. */
export interface RequestDetails extends RequestRow {
  readonly version: string;
  readonly reason?: string;
  /** From the request's head to the end of its body. */
  readonly requestMs?: number;
  readonly request: MessageInfo;
  readonly response: MessageInfo;
  /** Nothing is masked. */
  readonly revealed: boolean;
  /** It is a WebSocket, and its messages are read. */
  readonly hasMessages?: true;
  /** Why it cannot be replayed; absent where it can. */
  readonly noReplay?: string;
}

/** One message of a WebSocket. */
export interface WsMessage {
  readonly from: 'visitor' | 'service';
  readonly kind: 'text' | 'binary' | 'close' | 'ping' | 'pong';
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** As it travelled. */
  readonly bytes: number;
  /** Length of what is kept. */
  readonly keptBytes: number;
  /** Not all of it is kept. */
  readonly cut?: true;
  /** By permessage-deflate (RFC 7692), which is taken off here, unless what the message refers to is not kept. */
  readonly compressed?: 'taken off' | 'left';
  /** What is kept, in base64. */
  readonly body: string;
}

export interface WsMessages {
  readonly messages: readonly WsMessage[];
  /** How many there were before these. */
  readonly dropped: number;
}

/** What is sent anew in place of what was recorded. */
export interface ReplayEdits {
  readonly method?: string;
  readonly target?: string;
  /** All headers; `keep` stands for the recorded field at this position, whose value the page may not know. */
  readonly headers?: readonly (Field | { readonly keep: number })[];
  /** Base64. */
  readonly body?: string;
}

/** From the server to the page. */
export type LiveMessage =
  | {
      readonly type: 'state';
      readonly leases: readonly LeaseStatus[];
      readonly relays: readonly RelayStatus[];
      /** Services whose requests are recorded. */
      readonly inspected: readonly string[];
      /** Requests are kept beyond this run: how many could not be. */
      readonly history?: { readonly lost: number };
    }
  | {
      readonly type: 'requests';
      /** What the page has is out of date: these begin anew. */
      readonly reset?: true;
      readonly rows: readonly RequestRow[];
      /** Ids below this are kept no more. */
      readonly oldest: number;
      /** Requests that were too many to record. */
      readonly dropped: number;
    };
