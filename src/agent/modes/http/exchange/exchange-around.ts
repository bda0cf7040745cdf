import type { Readable } from 'node:stream';
import type { Socket } from 'node:net';
import type { RejectionReason } from '../../../access/rejections.js';
import type { OwnResponse } from '../../../inspect/wire.js';
import type { Client, Exchange, Follows, Headers, SwitchedStream } from './exchange.js';

type Changes = Pick<Exchange, 'body' | 'expectsContinue'> & Partial<Pick<Exchange, 'headers' | 'identity'>>;

/** An exchange that is another one, except for what a subclass changes. */
export abstract class ExchangeAround implements Exchange {
  protected readonly inner: Exchange;
  readonly client: Client;
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: Headers;
  readonly identity: Headers | undefined;
  readonly body: Readable | undefined;
  readonly expectsContinue: boolean;
  readonly upgrade: string | undefined;
  readonly isHttp2: boolean;
  readonly version: string;

  constructor(
    inner: Exchange,
    { body, expectsContinue, headers = inner.headers, identity = inner.identity }: Changes = inner,
  ) {
    this.inner = inner;
    this.client = inner.client;
    this.method = inner.method;
    this.target = inner.target;
    this.authority = inner.authority;
    this.headers = headers;
    this.identity = identity;
    this.body = body;
    this.expectsContinue = expectsContinue;
    this.upgrade = inner.upgrade;
    this.isHttp2 = inner.isHttp2;
    this.version = inner.version;
  }

  get isBodyWhole(): boolean {
    return this.inner.isBodyWhole;
  }

  trailers(): Headers {
    return this.inner.trailers();
  }

  inform(status: number, headers: Headers): void {
    this.inner.inform(status, headers);
  }

  begin(status: number, reason: string, headers: Headers, follows: Follows): void {
    this.inner.begin(status, reason, headers, follows);
  }

  get begun(): boolean {
    return this.inner.begun;
  }

  get recordedAs(): number | undefined {
    return this.inner.recordedAs;
  }

  write(chunk: Buffer): boolean {
    return this.inner.write(chunk);
  }

  onDrain(resume: () => void): void {
    this.inner.onDrain(resume);
  }

  end(trailers: Headers): void {
    this.inner.end(trailers);
  }

  abort(): void {
    this.inner.abort();
  }

  onDisconnect(gone: () => void): void {
    this.inner.onDisconnect(gone);
  }

  switchProtocols(headers: Headers, protocol: string): SwitchedStream | undefined {
    return this.inner.switchProtocols?.(headers, protocol);
  }

  onJoined(upstream: Socket): void {
    this.inner.onJoined?.(upstream);
  }

  onAsked(gate: RejectionReason): void {
    this.inner.onAsked?.(gate);
  }

  onPassed(identity: Headers | undefined): void {
    this.inner.onPassed?.(identity);
  }

  onOwnResponse(why: OwnResponse): void {
    this.inner.onOwnResponse?.(why);
  }
}
