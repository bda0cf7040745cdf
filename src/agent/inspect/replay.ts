import { Readable } from 'node:stream';
import type { Client, Exchange, Headers } from '../modes/http/exchange.js';
import type { Recording } from './recording.js';
import type { ReplayEdits } from './wire.js';

/** The replay comes from this machine, whatever the original address was. */
const ADDRESS = '127.0.0.1';
/** Set again for the new body. */
const FRAMING = new Set(['content-length', 'transfer-encoding', 'trailer', 'expect']);

/** Sends a recorded request again, through everything before the target. Only the recorder reads the response. */
export class ReplayExchange implements Exchange {
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
  /** Signatures expire, and a limit is for visitors. */
  readonly passesGates: boolean;
  readonly identity: Headers | undefined;
  /** The request that is repeated. */
  readonly original: number;
  /** Set by the recorder: the id of this request. */
  recordedAs = 0;
  begun = false;
  readonly #timer: NodeJS.Timeout;
  readonly #disconnected: (() => void)[] = [];

  constructor(recording: Recording, edits: ReplayEdits, ms: number) {
    this.original = recording.id;
    this.passesGates = recording.passedAs !== undefined;
    this.identity = recording.passedAs;
    this.client = { address: ADDRESS, network: ADDRESS, forwardedFor: ADDRESS, hostname: recording.hostname };
    this.method = edits.method ?? recording.method;
    this.target = edits.target ?? recording.target;
    this.authority = recording.authority;
    this.isHttp2 = recording.version === '2.0';
    this.version = recording.version;
    const body = edits.body === undefined ? recording.requestBody.kept() : Buffer.from(edits.body, 'base64');
    const headers = headersOf(recording, edits).filter(([name]) => !FRAMING.has(name.toLowerCase()));
    const hasBody = body.length > 0;
    if (hasBody) headers.push(['Content-Length', String(body.length)]);
    this.headers = headers.flat();
    this.body = hasBody ? Readable.from([body], { objectMode: false }) : undefined;
    this.#timer = setTimeout(() => this.#goAway(), ms).unref();
  }

  trailers(): Headers {
    return [];
  }

  inform(): void {
    // An interim response.
  }

  begin(): void {
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

  #goAway(): void {
    for (const gone of this.#disconnected.splice(0)) gone();
  }

  #finish(): void {
    clearTimeout(this.#timer);
    this.#disconnected.length = 0;
  }
}

/** Fields whose values the page does not know come from the recording, never from the page. */
function headersOf({ requestHeaders }: Recording, { headers }: ReplayEdits): [string, string][] {
  const recorded: [string, string][] = [];
  for (let i = 0; i < requestHeaders.length; i += 2)
    recorded.push([requestHeaders[i]!, requestHeaders[i + 1]!]);
  if (!headers) return recorded;
  return headers.flatMap((field): [string, string][] => {
    if (!('keep' in field)) return [[field.name, field.value]];
    const kept = recorded[field.keep];
    return kept ? [kept] : [];
  });
}
