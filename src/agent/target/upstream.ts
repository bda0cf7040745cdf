import { isIP, type Socket } from 'node:net';
import {
  connect as tlsConnect,
  createSecureContext,
  type ConnectionOptions,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { readConfined } from '../../lib/confined.js';
import { cannotRead, PortalError, systemCode, unreadableHint } from '../../lib/errors.js';
import { abortReason, deadline } from '../../lib/wait.js';
import { watchEnd } from '../../net/tls/close-notify.js';
import { LOCAL_HEADER } from '../../net/proxy-protocol/header.js';
import { SOCKET_BUFFER_BYTES } from '../../net/splice/splice.js';
import { dialTarget } from '../../net/target/dial.js';
import { formatTarget, isLoopback, type Target } from '../../net/target/target.js';
import { CONNECT_ALPN } from '../../protocol/limits.js';
import { UNTRUSTED } from '../../net/tls/untrusted.js';
import type { ServiceSpec, TargetTls } from '../spec.js';

/** Shorter than the two seconds after which a visitor is rejected because the service is down. */
const CONNECT_MS = 1_500;

export interface UpstreamOptions {
  /** How to verify a target that speaks TLS. */
  readonly tls?: TargetTls;
  /** Protocols to offer in that TLS (RFC 7301). Default: no ALPN. */
  readonly alpn?: readonly string[];
  /** Sent before everything else, including TLS (a PROXY protocol header). */
  readonly preamble?: Buffer;
}

/** For Portal's own connections to the targets of `spec`, without a visitor. */
export function upstreamOf({ targetTls, proxyProtocol }: ServiceSpec): UpstreamOptions {
  return { tls: targetTls, ...(proxyProtocol && { preamble: LOCAL_HEADER }) };
}

/**
 * Connects to the local service. Rejects within 1.5 s with `target_down` or `target_untrusted` and a reason for `status`,
 * or when `signal` aborts.
 */
export async function connectTarget(
  target: Target,
  options: UpstreamOptions = {},
  signal?: AbortSignal,
): Promise<Socket> {
  const { tls = {}, preamble } = options;
  const secure = target.kind === 'tcp' && target.tls ? await targetTlsOptions(target, tls) : undefined;
  const startedAt = performance.now();
  const plain = await dialTarget(target, CONNECT_MS, signal);
  if (preamble) plain.write(preamble);
  const leftMs = CONNECT_MS - (performance.now() - startedAt);
  const socket = secure ? await securely(target, plain, { ...options, secure, leftMs, signal }) : plain;
  readOutBeforeDestroy(socket);
  return socket;
}

interface SecureOptions {
  readonly secure: TargetTlsOptions;
  readonly alpn?: readonly string[];
  readonly leftMs: number;
  readonly signal: AbortSignal | undefined;
}

/** TLS over a connected `plain`. node crashes if its handle is replaced. */
function securely(target: Target, plain: Socket, options: SecureOptions): Promise<Socket> {
  const { secure, alpn = [], leftMs, signal } = options;
  return new Promise((resolve, reject) => {
    // Node accepts the high-water mark, but its types do not.
    const mark: object = { highWaterMark: SOCKET_BUFFER_BYTES };
    const offer = alpn.length > 0 && { ALPNProtocols: [...alpn] };
    const socket = tlsConnect({ ...secure, ...mark, socket: plain, ...offer });
    const over = (): void => {
      inTime();
      signal?.removeEventListener('abort', abort);
      // Replace the handler instead of removing it: an error before the splice listens must not end the process.
      for (const each of [plain, socket]) each.on('error', () => undefined).off('error', onError);
      socket.off('close', onClose);
    };
    const fail = (error: Error): void => {
      over();
      socket.destroy();
      plain.destroy();
      reject(error);
    };
    const abort = (): void => fail(abortReason(signal));
    const onError = (error: Error): void => fail(failureOf(target, error));
    const onClose = (): void => fail(down(target, 'closed the connection in its TLS handshake'));
    const inTime = deadline(leftMs, () =>
      fail(down(target, `did not complete its TLS handshake within ${CONNECT_MS} ms`)),
    );
    signal?.addEventListener('abort', abort, { once: true });
    for (const each of [plain, socket]) each.once('error', onError);
    socket.once('close', onClose);
    socket.once('secureConnect', () => {
      over();
      watchEnd(socket);
      resolve(socket);
    });
  });
}

type TargetTlsOptions = Pick<ConnectionOptions, 'servername' | 'rejectUnauthorized' | 'secureContext'>;

/** The TLS options for `target`: the server name, and the CAs to trust. */
async function targetTlsOptions(
  target: Extract<Target, { kind: 'tcp' }>,
  { caFile, serverName, verify }: TargetTls,
): Promise<TargetTlsOptions> {
  const name = serverName ?? target.host;
  // Traffic to a loopback address stays on this machine, and no public CA certifies one. A configured CA is always used.
  const isVerified = verify ?? (caFile !== undefined || !isLoopback(target.host));
  return {
    // SNI allows no IP address (RFC 6066 §3).
    ...(isIP(name) === 0 && { servername: name }),
    rejectUnauthorized: isVerified,
    ...(caFile !== undefined && { secureContext: await contextOf(target, caFile) }),
  };
}

/** Read the file each time to notice a new CA, but parse it only when it changes. */
const contexts = new Map<string, { pem: string; context: SecureContext }>();

async function contextOf(target: Target, caFile: string): Promise<SecureContext> {
  try {
    const pem = await readConfined(caFile);
    const known = contexts.get(caFile);
    if (known?.pem === pem) return known.context;
    const context = createSecureContext({ ca: pem });
    contexts.set(caFile, { pem, context });
    return context;
  } catch (error) {
    throw new PortalError(
      'target_untrusted',
      cannotRead(`the CA file of ${formatTarget(target)}, ${caFile},`, error),
      {
        cause: error,
        hint:
          unreadableHint(error) ?? 'Check the path in `targetTls: { ca }`. It is relative to portal.yaml.',
      },
    );
  }
}

function failureOf(target: Target, error: Error): PortalError {
  const code = systemCode(error);
  if (code && UNTRUSTED.has(code)) {
    const message = `${formatTarget(target)} has a certificate that is not trusted (${code})`;
    return new PortalError('target_untrusted', message, { cause: error });
  }
  return down(target, `aborted its TLS handshake (${code ?? error.message})`, error);
}

function down(target: Target, reason: string, cause?: Error): PortalError {
  return new PortalError('target_down', `${formatTarget(target)} ${reason}`, { cause });
}

/** The negotiated ALPN protocol of the bytes, if any. `portal connect` knows none: they belong to its user's client. */
export function alpnOf(socket: Socket): string | undefined {
  const { alpnProtocol } = socket as Partial<TLSSocket>;
  return isConnect(socket) ? undefined : alpnProtocol || undefined;
}

/** Whether the visitor is a `portal connect`. */
export function isConnect(socket: Socket): boolean {
  return (socket as Partial<TLSSocket>).alpnProtocol === CONNECT_ALPN;
}

/** Timeout for reading the rest of a response before the service's close. */
const READ_OUT_MS = 500;

/**
 * A service may respond to an upload before it has read it, and close. The next write then fails, and Node destroys
 * the socket with the unread response. Here a failed write first waits for the reading side to end: by the reset that
 * follows the response, or by a timeout.
 */
function readOutBeforeDestroy(socket: Socket): void {
  const destroy = socket.destroy.bind(socket);
  socket.destroy = (error?: Error) => {
    const { syscall } = (error ?? {}) as NodeJS.ErrnoException;
    if (syscall !== 'write' || socket.readableEnded) return destroy(error);
    // Any further failure, for example of a read, ends the socket permanently.
    socket.destroy = destroy;
    // Node has marked the reading side as failed too, and would drop later reads.
    const { _readableState: reading } = socket as { _readableState?: { errored: unknown } };
    if (reading) reading.errored = null;
    const timer = setTimeout(() => destroy(error), READ_OUT_MS);
    socket.once('close', () => clearTimeout(timer));
    return socket;
  };
}
