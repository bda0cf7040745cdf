import type { Socket } from 'node:net';
import { PortalError, systemCode } from '../../lib/errors.js';
import { deadline } from '../../lib/wait.js';
import { endedUnannounced } from '../../net/tls/close-notify.js';
import { formatTarget, type Target } from '../../net/target/target.js';
import { CLIENT_GOAWAY, isSettings, PREFACE } from './h2-frames.js';
import { alpnOf, connectTarget, type UpstreamOptions } from './upstream.js';

/**
 * The probes that find out which protocol a target speaks. docs/guides/http.md explains their choice. A service that does not
 * speak HTTP gets at most one line of text, and one that speaks first gets nothing.
 */

/**
 * Which versions of HTTP a target accepts: h1, h2 or both. Only `probeHttp` returns the other values: `other`
 * responded in another protocol, `closes` closed the connection after the probe, `silent` did neither in time.
 */
export type Speaks = 'h1' | 'h2' | 'both' | 'other' | 'closes' | 'silent';

export interface ProbeResult {
  readonly speaks: Speaks;
  /** Whether the target stated this itself. */
  readonly isSure: boolean;
}

/** A target that does not respond within this time counts as silent. */
const RESPONSE_MS = 1_000;
/** A server that speaks first (SSH, SMTP, MySQL) does so within this time. */
const GREETING_MS = 300;

/**
 * Most HTTP/1.1 servers reject this before their application sees it, because it lacks `Host` (RFC 9112 §3.2). It contains
 * neither `Host:` nor `POST`, which Redis would log as an attack.
 */
const NO_HOST = Buffer.from('OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n');

const sure = (speaks: Speaks): ProbeResult => ({ speaks, isSure: true });

export function isHttp(speaks: Speaks | undefined): boolean {
  return speaks === 'h1' || speaks === 'h2' || speaks === 'both';
}

/** Asks an HTTP server for its versions. A target that is not HTTP counts as HTTP/1.1. Rejects if the target is down. */
export async function probeHttp2(target: Target, upstream: UpstreamOptions): Promise<ProbeResult> {
  if (target.kind === 'tcp' && target.tls) {
    const agreed = await alpnWith(target, upstream, ['h2', 'http/1.1']);
    return sure(agreed === 'h2' ? await versionsOverTls(target, upstream) : 'h1');
  }
  const response = await say(target, upstream, PREFACE);
  if (!isSettings(response)) return { speaks: 'h1', isSure: Boolean(response?.length) };
  const plain = await say(target, upstream, NO_HOST).catch(() => undefined);
  return sure(isHttp1(plain) ? 'both' : 'h2');
}

/** Asks a target whether it speaks HTTP at all, and which versions. Rejects if the target is down. */
export async function probeHttp(target: Target, upstream: UpstreamOptions): Promise<ProbeResult> {
  if (target.kind === 'tcp' && target.tls) {
    const agreed = await alpnOrNone(target, upstream);
    if (agreed === 'h2') return sure(await versionsOverTls(target, upstream));
    if (agreed === 'http/1.1') return sure('h1');
    if (agreed === NEITHER) return sure('other');
  }
  const response = await say(target, upstream, NO_HOST, GREETING_MS);
  if (response === undefined) return { speaks: 'silent', isSure: false };
  if (response.length === 0) return { speaks: 'closes', isSure: false };
  if (isSettings(response)) return sure('h2');
  if (!isHttp1(response)) return sure('other');
  const second = await say(target, upstream, PREFACE).catch(() => undefined);
  return sure(isSettings(second) ? 'both' : 'h1');
}

/**
 * Requests a response after which an HTTP server behind TLS closes the connection. Resolves with whether the server announces
 * the close with close_notify. Undefined if it does not close in time. Rejects if the target is down.
 */
export async function probeClose(target: Target, upstream: UpstreamOptions): Promise<boolean | undefined> {
  const socket = await connectTarget(target, { ...upstream, alpn: ['http/1.1'] });
  try {
    return await new Promise<boolean | undefined>((resolve) => {
      const cancel = deadline(RESPONSE_MS, () => resolve(undefined));
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

function isHttp1(response: Buffer | undefined): boolean {
  return response?.toString('latin1', 0, 7) === 'HTTP/1.';
}

async function versionsOverTls(target: Target, upstream: UpstreamOptions): Promise<'h2' | 'both'> {
  const alone = await alpnWith(target, upstream, ['http/1.1']).catch(() => NEITHER);
  return alone === NEITHER ? 'h2' : 'both';
}

/** The target's TLS accepts neither version of HTTP. */
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
 * The first nine bytes (or fewer) that the target sends: unasked within `greetingMs`, otherwise in response to
 * `words`. Undefined if it sends nothing. Rejects with `target_down` if it closes before anything was sent to it, as
 * a forwarder (docker, ssh -L) does while the service behind it is down.
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
    throw new PortalError('target_down', `${formatTarget(target)} closed the connection immediately`);
  }
  const heard = greeting ?? (await firstBytes(socket, RESPONSE_MS, words));
  if (isSettings(heard)) socket.end(CLIENT_GOAWAY);
  // Read and drop later input: unread input would reset the connection before the target closes it in order.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), RESPONSE_MS).unref();
  socket.once('end', () => socket.destroy()).once('close', () => clearTimeout(timer));
  if (!isSettings(heard)) socket.end();
  return heard;
}

/** Empty if the connection closed first. */
function firstBytes(socket: Socket, ms: number, words?: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let heard = Buffer.alloc(0);
    const finish = (): void => {
      cancel();
      socket.off('data', onData).off('end', finish).off('close', finish);
      const hasEnded = socket.readableEnded || socket.destroyed;
      resolve(heard.length === 0 && !hasEnded ? undefined : heard);
    };
    const onData = (chunk: Buffer): void => {
      heard = Buffer.concat([heard, chunk]);
      if (heard.length >= 9) finish();
    };
    // `deadline` reads arrived input first: on a busy machine, a late read is not silence.
    const cancel = deadline(ms, finish);
    socket.on('data', onData).once('end', finish).once('close', finish);
    if (words) socket.write(words);
  });
}
