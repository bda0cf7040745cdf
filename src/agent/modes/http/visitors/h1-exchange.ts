import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { systemCode } from '../../../../lib/errors.js';
import { CountedResponse } from './counted.js';
import { cut } from './cut.js';
import {
  withoutField,
  type Client,
  type Exchange,
  type Headers,
  type SwitchedStream,
} from '../exchange/exchange.js';

/** Bodies up to this size are copied, to be sent with their head. */
const SHORT_BYTES = 4 * 1024;

/** A target in absolute form (RFC 9112, section 3.2.2). */
const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/is;

/** One HTTP/1.1 or 1.0 request and its response. */
export class H1Exchange implements Exchange {
  readonly client: Client;
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: Headers;
  readonly body: Readable | undefined;
  readonly expectsContinue: boolean;
  readonly upgrade: string | undefined;
  readonly isHttp2 = false;
  /** How many Host headers the request has. */
  readonly hosts: number;
  /** Its target and its Host header name different hosts. */
  readonly contradictory: boolean;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #lingerMs: number;
  readonly #head: Buffer | undefined;
  readonly #counted: CountedResponse;
  begun = false;
  /** The head has not been sent yet. */
  #flushing = false;
  /** The first chunk of the body, to be sent with the head. */
  #first: Buffer | undefined;

  constructor(
    client: Client,
    request: IncomingMessage,
    response: ServerResponse,
    expectsContinue: boolean,
    lingerMs: number,
    head?: Buffer,
  ) {
    this.client = client;
    this.#request = request;
    this.#response = response;
    this.#lingerMs = lingerMs;
    this.#head = head;
    this.method = request.method ?? '';
    this.headers = request.rawHeaders;
    this.expectsContinue = expectsContinue;
    this.upgrade = head && request.headers.upgrade;
    let hosts = 0;
    for (let i = 0; i < this.headers.length; i += 2) {
      const name = this.headers[i]!;
      if (name.length === 4 && name.toLowerCase() === 'host') hosts++;
    }
    this.hosts = hosts;
    // HTTP/1.0 may omit Host.
    const host = request.headers.host ?? client.hostname;
    const [, named, path = ''] = ABSOLUTE.exec(request.url ?? '') ?? [];
    this.authority = named ?? host;
    this.contradictory = named !== undefined && named.toLowerCase() !== host.toLowerCase();
    // OPTIONS without a path refers to the whole server (RFC 9112, 3.2.4).
    if (named === undefined) this.target = request.url ?? '';
    else if (path === '' && this.method === 'OPTIONS') this.target = '*';
    else this.target = path.startsWith('/') ? path : `/${path}`;
    this.body = !head && hasBody(request) ? request : undefined;
    this.#counted = new CountedResponse(this);
  }

  get version(): string {
    return this.#request.httpVersion;
  }

  get isBodyWhole(): boolean {
    return this.#request.complete;
  }

  trailers(): Headers {
    return this.#request.rawTrailers;
  }

  inform(status: number, headers: Headers): void {
    if (this.begun || this.#request.httpVersionMinor === 0) return;
    if (status === 100) return this.#response.writeContinue();
    if (status === 102) return this.#response.writeProcessing();
    const links = headers.filter((_, i) => i % 2 === 1 && headers[i - 1]!.toLowerCase() === 'link');
    if (status !== 103 || links.length === 0) return;
    try {
      this.#response.writeEarlyHints({ link: links });
    } catch {
      // A hint that cannot be sent may be dropped.
    }
  }

  begin(status: number, reason: string, headers: Headers): void {
    // The body was never requested and may or may not come, so the next request cannot be found.
    if (this.expectsContinue && !this.#request.complete) this.#response.shouldKeepAlive = false;
    // The rest of the body would arrive where the next request is expected (RFC 9110, 15.5.9).
    if (status === 408) this.#response.shouldKeepAlive = false;
    try {
      this.#response.writeHead(status, reason, headers as string[]);
    } catch (error) {
      // This response cannot have the announced trailers: it has a length, or the visitor speaks HTTP/1.0.
      if (systemCode(error) !== 'ERR_HTTP_TRAILER_INVALID') throw error;
      this.#response.writeHead(status, reason, withoutField(headers, 'trailer'));
    }
    this.begun = true;
    this.#counted.began(status);
    // With the first chunk of the body if it is available, otherwise alone.
    this.#flushing = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    if (!this.#flushing) return;
    this.#flushing = false;
    if (this.#first) this.#response.write(this.#first);
    else if (!this.#response.writableEnded) this.#response.flushHeaders();
    this.#first = undefined;
  }

  write(chunk: Buffer): boolean {
    this.#counted.wrote(chunk.length);
    if (this.#flushing) {
      // Possibly the whole body: a head and a short body are sent together.
      if (!this.#first && chunk.length <= SHORT_BYTES) {
        this.#first = chunk;
        return true;
      }
      this.#flushing = false;
      if (this.#first) this.#response.write(this.#first);
      this.#first = undefined;
    }
    return this.#response.write(chunk);
  }

  onDrain(resume: () => void): void {
    this.#response.once('drain', resume);
  }

  end(trailers: Headers): void {
    this.#counted.ended();
    if (trailers.length > 0) {
      const pairs: [string, string][] = [];
      for (let i = 0; i < trailers.length; i += 2) pairs.push([trailers[i]!, trailers[i + 1]!]);
      this.#response.addTrailers(pairs);
    }
    if (this.body && !this.#request.complete) {
      this.#flush();
      this.#endEarly();
    } else if (this.#first) {
      const text = this.#first.toString('latin1');
      this.#flushing = false;
      this.#first = undefined;
      // Node joins text (Latin-1 preserves every byte) with the head: one write, not two.
      this.#response.end(text, 'latin1');
    } else this.#response.end();
  }

  /** The visitor is still sending: its input is dropped, within limits, so that it can read the response. */
  #endEarly(): void {
    const { socket } = this.#request;
    const timer = setTimeout(() => socket.destroy(), this.#lingerMs);
    const done = (): void => clearTimeout(timer);
    this.#request.once('end', done);
    socket.once('close', done);
    if (!this.#response.shouldKeepAlive) {
      // Node would close immediately with unread input, and the resulting reset would lose the response.
      this.#request.once('end', () => this.#response.end());
      this.#request.resume();
      this.#response.write('');
      return;
    }
    this.#response.end();
    this.#request.resume();
  }

  abort(): void {
    this.#counted.ended(false);
    cut(this.#request.socket);
  }

  onDisconnect(gone: () => void): void {
    this.#response.once('close', () => {
      if (this.#response.writableFinished) return;
      this.#counted.ended(false);
      gone();
    });
  }

  switchProtocols(headers: Headers, protocol: string): SwitchedStream | undefined {
    const { socket } = this.#request;
    if (socket.destroyed || !this.#head) return undefined;
    this.begun = true;
    this.client.isSwitched = true;
    this.#counted.began(101);
    this.#counted.ended();
    this.#response.detachSocket(socket);
    let text = 'HTTP/1.1 101 Switching Protocols\r\n';
    for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
    socket.write(`${text}Connection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`, 'latin1');
    socket.setTimeout(0);
    return { kind: 'socket', socket, head: this.#head };
  }
}

export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}
