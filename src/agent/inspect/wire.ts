import type { RejectionReason } from '../access/rejections.js';
import type { HeldStatus, LeaseStatus, RelayStatus } from '../status.js';

/** Messages between the inspector's server and its page. The page imports only these types from here. */

/**
 * `open`: in progress. `switched`: the connection uses another protocol now, and is open. `done`: complete. `broken`:
 * the visitor disconnected, or the response is incomplete.
 */
export type Outcome = 'open' | 'switched' | 'done' | 'broken';

/** Why Portal itself responded, and not the service: `code` for programs, `title` for people. */
export interface OwnResponse {
  readonly code: string;
  readonly title: string;
  /** The gate that rejected the visitor. */
  readonly gate?: RejectionReason;
}

/** One row of the list. */
export interface RequestRow {
  readonly id: number;
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly method: string;
  /** Path and query, as received. */
  readonly target: string;
  readonly authority: string;
  /** Address of the visitor. */
  readonly remote: string;
  readonly outcome: Outcome;
  /** Absent until the response begins. */
  readonly status?: number;
  /** From the head of the request to the head of the response. */
  readonly firstByteMs?: number;
  /** From the head of the request to the end of the exchange. */
  readonly totalMs?: number;
  /** Body sizes on the wire. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** The media type of the response. */
  readonly type?: string;
  /** Id of the request that this one repeats. */
  readonly replayOf?: number;
  /** Id of the held request that this one delivers. */
  readonly deliveryOf?: number;
  /** It comes from the history. */
  readonly earlier?: true;
  /** Portal itself responded: a gate rejected the visitor, or the service did not respond. */
  readonly portal?: OwnResponse;
  /** The 503 page reloaded itself: no user started this request. */
  readonly reload?: true;
}

/** Requests from the history, newest first. */
export interface EarlierRequests {
  readonly rows: readonly RequestRow[];
  /** Older ones exist. */
  readonly isPart: boolean;
}

export interface Field {
  readonly name: string;
  readonly value: string;
  /** The value is hidden, except for parts that reveal nothing. */
  readonly masked?: true;
}

export interface BodyInfo {
  /** On the wire. */
  readonly bytes: number;
  /** Stored bytes. */
  readonly keptBytes: number;
  /** Why only a part is stored. */
  readonly cut?: 'long' | 'load' | 'pin' | 'unread';
  readonly type?: string;
  readonly encoding?: string;
}

export interface MessageInfo {
  readonly headers: readonly Field[];
  readonly trailers: readonly Field[];
  readonly body: BodyInfo;
}

/** Everything of one request except its bodies. */
export interface RequestDetails extends RequestRow {
  readonly version: string;
  readonly reason?: string;
  /** From the head of the request to the end of its body. */
  readonly requestMs?: number;
  readonly request: MessageInfo;
  readonly response: MessageInfo;
  /** Nothing is masked. */
  readonly revealed: boolean;
  /** Set for a WebSocket whose messages are recorded. */
  readonly hasMessages?: true;
  /** Why it cannot be replayed; absent if it can. */
  readonly noReplay?: string;
}

/** One message of a WebSocket. */
export interface WsMessage {
  readonly from: 'visitor' | 'service';
  readonly kind: 'text' | 'binary' | 'close' | 'ping' | 'pong';
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** On the wire. */
  readonly bytes: number;
  /** Stored bytes. */
  readonly keptBytes: number;
  /** Only a part is stored. */
  readonly cut?: true;
  /**
   * Compressed with permessage-deflate (RFC 7692). `inflated`: shown without compression. `compressed`: the message
   * refers to data that is not stored.
   */
  readonly compressed?: 'inflated' | 'compressed';
  /** The stored bytes in base64. */
  readonly body: string;
}

export interface WsMessages {
  readonly messages: readonly WsMessage[];
  /** Messages before these. */
  readonly dropped: number;
}

/** Replacements for parts of a recorded request. */
export interface ReplayEdits {
  readonly method?: string;
  readonly target?: string;
  /** All headers. `keep` means the recorded field at this position, whose value the page may not know. */
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
      /** Routes with held requests; absent if empty. */
      readonly held?: readonly HeldStatus[];
      /** Set if requests are kept beyond this run: how many could not be stored. */
      readonly history?: { readonly lost: number };
    }
  | {
      readonly type: 'requests';
      /** The page is out of date and starts again with these rows. */
      readonly reset?: true;
      readonly rows: readonly RequestRow[];
      /** Ids below this one were removed. */
      readonly oldest: number;
      /** Requests that exceeded the limit and were not recorded. */
      readonly dropped: number;
    };
