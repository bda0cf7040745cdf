import type { Duplex, Readable } from 'node:stream';
import type { Socket } from 'node:net';

/** Name, value, name, value…: header fields as they travel, in their order, a repeated one repeated. */
export type Headers = readonly string[];

/** What comes after the head of an answer: a body alone is cheaper to send than one that trailers may follow. */
export type Follows = 'nothing' | 'body' | 'trailers';

/** The visitor's side of a connection, made once and used by each of its requests. */
export interface Client {
  /** Address the relay saw, as X-Forwarded-For has it. */
  readonly address: string;
  /** What shares of an address count: that address, or the /64 of an IPv6 one. */
  readonly network: string;
  /** The same, as the Forwarded header has it (RFC 7239). */
  readonly forwardedFor: string;
  /** The name the visitor asked for in the TLS handshake. */
  readonly hostname: string;
  /** Hears the status of each answer. */
  readonly onAnswered?: ((status: number) => void) | undefined;
}

/**
 * One request and the answer to it, the same for every version of HTTP a visitor may speak. What stands between
 * visitor and target takes an exchange: today the routes, and what is to stand before them (see `Gate`).
 */
export interface Exchange {
  readonly client: Client;
  readonly method: string;
  /** Origin form, `/path?query`, byte for byte as it came. */
  readonly target: string;
  /** Host, as the visitor wrote it. */
  readonly authority: string;
  readonly headers: Headers;
  /** Absent where the request has none. To be read, or `answer` must be the end of it. */
  readonly body: Readable | undefined;
  /** To be asked when `body` ends, or the stream that is switched to: false if the visitor left in the middle. */
  readonly isBodyWhole: boolean;
  /** Header fields that followed the body, once it has ended. */
  trailers(): Headers;
  /** The visitor holds its body back until it is told to go on (RFC 9110, 10.1.1). */
  readonly expectsContinue: boolean;

  /** An interim answer: 100, 103. */
  inform(status: number, headers: Headers): void;
  /**
   * The answer's head. Throws, with nothing sent, when a field cannot be sent as it is.
   * `follows`: `nothing` where no body does, and not for the method's or the status' sake.
   */
  begin(status: number, reason: string, headers: Headers, follows: Follows): void;
  readonly begun: boolean;
  /** False: wait for `onDrain` before the next. */
  write(chunk: Buffer): boolean;
  onDrain(resume: () => void): void;
  end(trailers: Headers): void;
  /** Breaks the answer off, so that the visitor cannot take what it has for the whole. */
  abort(): void;
  /** Called once if the visitor goes away before the answer is complete. */
  onGone(gone: () => void): void;
  /**
   * Takes the connection over for another protocol: answers that it is switched to, and gives the stream that
   * speaks it from now on, or undefined where the visitor has gone. Throws as `begin` does.
   */
  switchProtocols?(headers: Headers, protocol: string): Switched | undefined;
  /** Told of the target's side of a connection that is switched, before its bytes and the visitor's are joined. */
  onJoined?(upstream: Socket): void;
  /** The protocol to switch to, if the visitor asks for one (RFC 9110, 7.8, or RFC 8441). */
  readonly upgrade: string | undefined;
  /** Of HTTP, as node has it: `1.1`, `2.0`. */
  readonly version: string;
  /** It asks for that over HTTP/2, where a WebSocket has no key. */
  readonly isHttp2: boolean;
}

/** A stream of bytes to and from a visitor. */
export type Switched =
  | { readonly kind: 'socket'; readonly socket: Socket; readonly head: Buffer }
  | { readonly kind: 'stream'; readonly stream: Duplex };

/** Stands before the routes: answers the exchange itself (true), or lets it through. */
export type Gate = (exchange: Exchange) => boolean;

/** Answers with a short body and is done with the exchange. */
export function answer(
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
  // Read and dropped: what is left unread would reset the connection and take the answer with it.
  exchange.body?.resume();
}

/** `name` in lower case. */
export function withoutField(headers: Headers, name: string): string[] {
  return headers.filter((_, i) => headers[i - (i % 2)]!.toLowerCase() !== name);
}
