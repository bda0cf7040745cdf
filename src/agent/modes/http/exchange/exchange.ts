import type { Duplex, Readable } from 'node:stream';
import type { Socket } from 'node:net';
import type { RejectionReason } from '../../../access/rejections.js';
import type { Asked, Ended } from '../../../access-log.js';
import type { OwnResponse } from '../../../inspect/wire.js';

/** Name, value, name, value…: header fields on the wire, in order, including repeated ones. */
export type Headers = readonly string[];

/** What follows the head of a response. A body alone is cheaper to send than one that trailers may follow. */
export type Follows = 'nothing' | 'body' | 'trailers';

/** The visitor's side of a connection, created once and shared by its requests. */
export interface Client {
  /** The address that the relay saw, as in X-Forwarded-For. */
  readonly address: string;
  /** The unit of limits per address: an IPv4 address, or the /64 of an IPv6 address. */
  readonly network: string;
  /** The same in the notation of the Forwarded header (RFC 7239). */
  readonly forwardedFor: string;
  /** The server name of the TLS handshake. */
  readonly hostname: string;
  /** It is `portal connect`, to which programs on the visitor's machine connect as to a local service. */
  readonly isConnect?: boolean;
  /** Its connection. Absent for a request that the owner repeats. */
  readonly socket?: Socket;
  /** Its connection has switched to another protocol. */
  isSwitched?: boolean;
  /** Its requests without the head of a response. */
  unanswered?: number;
  /** Its open streams of HTTP/2. */
  streams?: number;
  /** Its responses in progress that are event streams. They never end, and their readers reconnect. */
  eventStreams?: number;
  /** Called with the status of each response. */
  readonly onResponse?: ((status: number) => void) | undefined;
  /** Called when a response has ended, or the visitor has disconnected before. */
  readonly onEnd?: ((exchange: Asked, ended: Ended) => void) | undefined;
}

/** The head of a request, the same for every HTTP version, and wherever requests are recorded, held and repeated. */
export interface RequestHead {
  readonly method: string;
  /** Origin form, `/path?query`, byte for byte as received. */
  readonly target: string;
  /** The Host header as the visitor sent it. */
  readonly authority: string;
  /** The HTTP version as in Node: `1.1`, `2.0`. */
  readonly version: string;
  readonly headers: Headers;
}

/** Where a request came from, as far as it is kept. */
export interface RequestOrigin {
  /** Address of the visitor. */
  readonly remote: string;
  /** The server name of the TLS handshake. */
  readonly hostname: string;
}

/**
 * One request and its response, the same for every HTTP version. Everything between visitor and target handles exchanges: the
 * gates (`access/gate.ts`) and the routes.
 */
export interface Exchange extends RequestHead {
  readonly client: Client;
  /** Header fields in which gates name the visitor to the target. */
  readonly identity?: Headers | undefined;
  /** Absent if the request has no body. Read it, or end the exchange with `respond`. */
  readonly body: Readable | undefined;
  /** Read this when `body` or the switched stream ends: false if the visitor disconnected before the end. */
  readonly isBodyWhole: boolean;
  /** The trailers of the body, once it has ended. */
  trailers(): Headers;
  /** The visitor sends its body only after `100 Continue` (RFC 9110, 10.1.1). */
  readonly expectsContinue: boolean;

  /** An interim response: 100, 103. */
  inform(status: number, headers: Headers): void;
  /**
   * The head of the response. Throws, with nothing sent, if a field cannot be sent. `follows` is `nothing` if there is no
   * body for a reason other than method or status.
   */
  begin(status: number, reason: string, headers: Headers, follows: Follows): void;
  readonly begun: boolean;
  /** False: wait for `onDrain` before the next write. */
  write(chunk: Buffer): boolean;
  onDrain(resume: () => void): void;
  end(trailers: Headers): void;
  /** Aborts the response, so that the visitor cannot mistake it for a complete one. */
  abort(): void;
  /** Called once if the visitor disconnects before the response is complete. */
  onDisconnect(gone: () => void): void;
  /**
   * Switches the connection to another protocol. Sends the response and returns the stream for that protocol, or
   * undefined if the visitor has disconnected. Throws like `begin`.
   */
  switchProtocols?(headers: Headers, protocol: string): SwitchedStream | undefined;
  /** Called with the target's side of a switched connection, before both sides are joined. */
  onJoined?(upstream: Socket): void;
  /** Called before each gate that judges the request. */
  onAsked?(gate: RejectionReason): void;
  /** Called before the response begins, if Portal itself responds and no target does. */
  onOwnResponse?(why: OwnResponse): void;
  /** The protocol that the visitor asks to switch to (RFC 9110, 7.8, or RFC 8441). */
  readonly upgrade: string | undefined;
  /** The owner repeats a request that has passed the gates. `identity` names who sent it then. */
  readonly passesGates?: boolean;
  /** Called once the gates let the request pass, with the fields in which they name the visitor to the target. */
  onPassed?(identity: Headers | undefined): void;
  /** The inspector's id of the request. Absent if it is not recorded. */
  readonly recordedAs?: number | undefined;
  /** The upgrade is requested over HTTP/2, where a WebSocket has no key. */
  readonly isHttp2: boolean;
}

/** A stream of bytes from and to a visitor. */
export type SwitchedStream =
  | { readonly kind: 'socket'; readonly socket: Socket; readonly head: Buffer }
  | { readonly kind: 'stream'; readonly stream: Duplex };

/** Ends the exchange with a short body. */
export function respond(
  exchange: Exchange,
  status: number,
  reason: string,
  headers: Headers,
  body: string,
): void {
  const bytes = Buffer.from(body);
  exchange.begin(
    status,
    reason,
    [...headers, 'Content-Length', String(bytes.length)],
    bytes.length === 0 ? 'nothing' : 'body',
  );
  if (exchange.method !== 'HEAD' && bytes.length > 0) exchange.write(bytes);
  exchange.end([]);
  // Read and dropped: unread input would reset the connection and lose the response.
  exchange.body?.resume();
}

/** The values of every header of this name, which is in lower case. */
export function valuesOf({ headers }: Pick<Exchange, 'headers'>, name: string, separator = ', '): string {
  let value = '';
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length !== name.length || headers[i]!.toLowerCase() !== name) continue;
    value = value === '' ? headers[i + 1]! : value + separator + headers[i + 1]!;
  }
  return value;
}

/** `name` in lower case. */
export function withoutField(headers: Headers, name: string): string[] {
  return headers.filter((_, i) => headers[i - (i % 2)]!.toLowerCase() !== name);
}

/** Whether a Host header names `hostname`, with any port. */
export function isHost(authority: string, hostname: string): boolean {
  if (hostname === '' || authority === hostname) return authority !== '';
  const [, name = ''] = /^([^:]*?)\.?(?::\d{0,5})?$/.exec(authority) ?? [];
  return name.toLowerCase() === hostname.toLowerCase();
}
