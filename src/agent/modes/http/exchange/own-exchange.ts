import { isIPv6 } from 'node:net';
import { Readable } from 'node:stream';
import type { Client, Exchange, Headers, RequestHead } from './exchange.js';

/** Set again for the body. */
const FRAMING = new Set(['content-length', 'transfer-encoding', 'trailer', 'expect']);

export interface OwnRequest extends RequestHead {
  /** Set if it has passed the gates: the fields in which they name the visitor to the target. */
  readonly passedAs: Headers | undefined;
  /** What the target sees as the visitor's address. */
  readonly address: string;
  /** The server name of the original request. */
  readonly hostname: string;
  readonly body: Buffer;
  /** Timeout of the whole exchange. */
  readonly ms: number;
}

/** A request that Portal sends to a service without a visitor, through everything before the target. Drops the response. */
export abstract class OwnExchange implements Exchange {
  readonly client: Client;
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: Headers;
  readonly body: Readable | undefined;
  readonly isBodyWhole = true;
  readonly expectsContinue = false;
  readonly upgrade = undefined;
  readonly isHttp2: boolean;
  readonly version: string;
  readonly passesGates: boolean;
  readonly identity: Headers | undefined;
  /** The recorded request that this one repeats. */
  readonly replayOf: number | undefined = undefined;
  /** The recorded request that was held, and that this one delivers. */
  readonly deliveryOf: number | undefined = undefined;
  /** Set by the recorder: the id of this request. */
  recordedAs = 0;
  begun = false;
  readonly #timer: NodeJS.Timeout;
  readonly #disconnected: (() => void)[] = [];

  constructor({
    passedAs,
    address,
    hostname,
    method,
    target,
    authority,
    version,
    headers,
    body,
    ms,
  }: OwnRequest) {
    this.passesGates = passedAs !== undefined;
    this.identity = passedAs;
    this.client = {
      address,
      network: address,
      forwardedFor: isIPv6(address) ? `"[${address}]"` : address,
      hostname,
    };
    this.method = method;
    this.target = target;
    this.authority = authority;
    this.isHttp2 = version === '2.0';
    this.version = version;
    const kept = headers.filter((_, i) => !FRAMING.has(headers[i - (i % 2)]!.toLowerCase()));
    const hasBody = body.length > 0;
    this.headers = hasBody ? [...kept, 'Content-Length', String(body.length)] : kept;
    this.body = hasBody ? Readable.from([body], { objectMode: false }) : undefined;
    this.#timer = setTimeout(() => this.#goAway(), ms).unref();
  }

  trailers(): Headers {
    return [];
  }

  inform(): void {
    // An interim response.
  }

  begin(_status: number): void {
    this.begun = true;
  }

  write(): boolean {
    return true;
  }

  onDrain(resume: () => void): void {
    resume();
  }

  end(): void {
    this.#finish();
  }

  abort(): void {
    this.#finish();
  }

  onDisconnect(gone: () => void): void {
    this.#disconnected.push(gone);
  }

  /** Called when the exchange has ended, or timed out. */
  protected ended(): void {
    // Nobody waits for it.
  }

  #goAway(): void {
    for (const gone of this.#disconnected.splice(0)) gone();
    this.ended();
  }

  #finish(): void {
    clearTimeout(this.#timer);
    this.#disconnected.length = 0;
    this.ended();
  }
}
