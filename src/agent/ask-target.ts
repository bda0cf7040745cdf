import type { Socket } from 'node:net';
import { PortalError, systemCode } from '../lib/errors.js';
import { deadline } from '../lib/wait.js';
import { endedUnannounced } from '../net/close-notify.js';
import { formatTarget, type Target } from '../net/target.js';
import { GOODBYE, isSettings, PREFACE } from './h2-words.js';
import { alpnOf, connectTarget, type UpstreamOptions } from './upstream.js';

/**
 * The questions a target is asked to find out what it speaks. docs/guides/http.md says which, and why these: a service that
 * is not HTTP gets one line of text at most, and one that speaks first gets nothing.
 */

/**
 * Which versions of HTTP a target takes: h1, h2, or either. Only `askForHttp` tells the others: `other` answered in
 * another protocol, `closes` closed the connection upon the question, and `silent` did neither in time.
 */
export type Speaks = 'h1' | 'h2' | 'both' | 'other' | 'closes' | 'silent';

export interface Answer {
  readonly speaks: Speaks;
  /** The target said so itself. */
  readonly isSure: boolean;
}

/** A target answers within this, or counts as silent. */
const ANSWER_MS = 1_000;
/** A server that speaks first (SSH, SMTP, MySQL) does so within this. */
const GREETING_MS = 300;

/**
 * Refused by most servers of HTTP/1.1 ahead of their application: it lacks `Host` (RFC 9112 §3.2). It has neither `Host`
 * nor `POST` in it, which Redis would log as an attack.
 */
const NO_HOST = Buffer.from('OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n');

const sure = (speaks: Speaks): Answer => ({ speaks, isSure: true });

export function isHttp(speaks: Speaks | undefined): boolean {
  return speaks === 'h1' || speaks === 'h2' || speaks === 'both';
}

/** Asks a server of HTTP for its versions. One that is not HTTP passes for HTTP/1.1. Rejects if it is down. */
export async function askForHttp2(target: Target, upstream: UpstreamOptions): Promise<Answer> {
  if (target.kind === 'tcp' && target.tls) {
    const agreed = await alpnWith(target, upstream, ['h2', 'http/1.1']);
    return sure(agreed === 'h2' ? await versionsOverTls(target, upstream) : 'h1');
  }
  const answer = await say(target, upstream, PREFACE);
  if (!isSettings(answer)) return { speaks: 'h1', isSure: Boolean(answer?.length) };
  const plain = await say(target, upstream, NO_HOST).catch(() => undefined);
  return sure(isHttp1(plain) ? 'both' : 'h2');
}

/** Asks a target whether it speaks HTTP at all, and then which versions. Rejects if it is down. */
export async function askForHttp(target: Target, upstream: UpstreamOptions): Promise<Answer> {
  if (target.kind === 'tcp' && target.tls) {
    const agreed = await alpnOrNone(target, upstream);
    if (agreed === 'h2') return sure(await versionsOverTls(target, upstream));
    if (agreed === 'http/1.1') return sure('h1');
    if (agreed === NEITHER) return sure('other');
  }
  const answer = await say(target, upstream, NO_HOST, GREETING_MS);
  if (answer === undefined) return { speaks: 'silent', isSure: false };
  if (answer.length === 0) return { speaks: 'closes', isSure: false };
  if (isSettings(answer)) return sure('h2');
  if (!isHttp1(answer)) return sure('other');
  const second = await say(target, upstream, PREFACE).catch(() => undefined);
  return sure(isSettings(second) ? 'both' : 'h1');
}

/**
 * Asks a server of HTTP behind TLS for an answer after which it closes the connection. Whether it announces that with
 * close_notify; undefined if it does not close in time. Rejects if it is down.
 */
export async function askForEnd(target: Target, upstream: UpstreamOptions): Promise<boolean | undefined> {
  const socket = await connectTarget(target, { ...upstream, alpn: ['http/1.1'] });
  try {
    return await new Promise<boolean | undefined>((resolve) => {
      const cancel = deadline(ANSWER_MS, () => resolve(undefined));
      socket.once('end', () => resolve(!endedUnannounced(socket)));
      socket.once('close', () => {
        cancel();
        resolve(undefined);
      });
      socket.resume();
      socket.write(NO_HOST);
    });
  } finally {
    socket.destroy();
  }
}

function isHttp1(answer: Buffer | undefined): boolean {
  return answer?.toString('latin1', 0, 7) === 'HTTP/1.';
}

async function versionsOverTls(target: Target, upstream: UpstreamOptions): Promise<'h2' | 'both'> {
  const alone = await alpnWith(target, upstream, ['http/1.1']).catch(() => NEITHER);
  return alone === NEITHER ? 'h2' : 'both';
}

/** The target's TLS takes neither version of HTTP. */
const NEITHER = 'neither';

async function alpnOrNone(target: Target, upstream: UpstreamOptions): Promise<string | undefined> {
  try {
    return await alpnWith(target, upstream, ['h2', 'http/1.1']);
  } catch (error) {
    const { cause } = error as Error;
    if (systemCode(cause) === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL') return NEITHER;
    throw error;
  }
}

async function alpnWith(
  target: Target,
  upstream: UpstreamOptions,
  alpn: readonly string[],
): Promise<string | undefined> {
  const socket = await connectTarget(target, { ...upstream, alpn });
  const agreed = alpnOf(socket);
  socket.destroy();
  return agreed;
}

/**
 * The first nine bytes that the target sends before it is asked, within `greetingMs`, or else in answer to `words`; or as
 * many as came. Undefined if it said nothing. Rejects with `target_down` if it closes before anything was said to it: so
 * does a forwarder (docker, ssh -L) with nothing behind it yet.
 */
async function say(
  target: Target,
  upstream: UpstreamOptions,
  words: Buffer,
  greetingMs = 0,
): Promise<Buffer | undefined> {
  const socket = await connectTarget(target, upstream);
  const greeting = greetingMs > 0 ? await firstBytes(socket, greetingMs) : undefined;
  if (greeting?.length === 0) {
    socket.destroy();
    throw new PortalError('target_down', `${formatTarget(target)} closed the connection at once`);
  }
  const heard = greeting ?? (await firstBytes(socket, ANSWER_MS, words));
  if (isSettings(heard)) socket.end(GOODBYE);
  // What it still says is read and dropped: its own goodbye must not become a reset for it.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), ANSWER_MS).unref();
  socket.once('end', () => socket.destroy()).once('close', () => clearTimeout(timer));
  if (!isSettings(heard)) socket.end();
  return heard;
}

/** Empty where the connection was closed first. */
function firstBytes(socket: Socket, ms: number, words?: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let heard = Buffer.alloc(0);
    const finish = (): void => {
      cancel();
      socket.off('data', onData).off('end', finish).off('close', finish);
      const isOver = socket.readableEnded || socket.destroyed;
      resolve(heard.length === 0 && !isOver ? undefined : heard);
    };
    const onData = (chunk: Buffer): void => {
      heard = Buffer.concat([heard, chunk]);
      if (heard.length >= 9) finish();
    };
    // A busy machine must not take an answer that it has not read yet for silence.
    const cancel = deadline(ms, finish);
    socket.on('data', onData).once('end', finish).once('close', finish);
    if (words) socket.write(words);
  });
}
