import { connect, type Socket } from 'node:net';
import { confinedPath } from '../../lib/confined.js';
import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import { abortReason, deadline } from '../../lib/wait.js';
import { SOCKET_BUFFER_BYTES } from '../splice/splice.js';
import { addressesOf, remember, unreachable, type Attempt, type UnreachableTexts } from './addresses.js';
import { formatTarget, type Target } from './target.js';

/**
 * Connects to local services. Node's own fallback between addresses is not usable: it replaces the handle of a socket
 * that TLS may already read from, and it waits for silent addresses.
 */

/** After this long without a connection, the next address is tried as well (RFC 8305, section 5). */
const STAGGER_MS = 250;

const WORDS: UnreachableTexts = { nothing: 'nothing listens', refused: 'refused the connection' };

/**
 * Connects to `target`: first to the address that answered last, then to the next one once that refuses or stays silent.
 * Rejects within `ms` with `target_down` and a reason for `status`, or when `signal` aborts. The returned socket is
 * connected and never throws an unhandled error.
 */
export async function dialTarget(target: Target, ms: number, signal?: AbortSignal): Promise<Socket> {
  const startedAt = performance.now();
  const addresses =
    target.kind === 'unix' ? [await socketOf(target.path)] : await addressesOf(target, { ms, signal });
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortReason(signal));
    const leftMs = Math.max(0, ms - (performance.now() - startedAt));
    new Attempts({ target, addresses, totalMs: ms, leftMs, signal, resolve, reject }).next();
  });
}

/** Resolves symlinks at each connection: one may have changed since the configuration was allowed. */
async function socketOf(path: string): Promise<string> {
  try {
    return await confinedPath(path);
  } catch (error) {
    throw new PortalError('target_down', asPortalError(error).message, { cause: error });
  }
}

interface AttemptsOptions {
  readonly target: Target;
  readonly addresses: readonly string[];
  /** The whole timeout, and the remaining time. */
  readonly totalMs: number;
  readonly leftMs: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (socket: Socket) => void;
  readonly reject: (error: Error) => void;
}

/** The attempts of one connection. The first address that connects wins; the others are closed. */
class Attempts {
  readonly #options: AttemptsOptions;
  readonly #pending = new Set<Socket>();
  readonly #failed: Attempt[] = [];
  readonly #inTime: () => void;
  readonly #abort = (): void => this.#lose(abortReason(this.#options.signal));
  #started = 0;
  #stagger: NodeJS.Timeout | undefined;

  constructor(options: AttemptsOptions) {
    const { target, totalMs, leftMs, signal } = options;
    this.#options = options;
    this.#inTime = deadline(leftMs, () =>
      this.#lose(
        new PortalError('target_down', `${formatTarget(target)} did not respond within ${totalMs} ms`),
      ),
    );
    signal?.addEventListener('abort', this.#abort, { once: true });
  }

  next(): void {
    clearTimeout(this.#stagger);
    const { target, addresses } = this.#options;
    const address = addresses[this.#started++]!;
    const socket = open(target, address);
    this.#pending.add(socket);
    socket.on('error', (error) => {
      if (this.#pending.delete(socket)) this.#refused({ address, code: codeOf(error) }, error);
    });
    socket.once('connect', () => {
      if (!this.#pending.delete(socket)) return;
      if (target.kind === 'tcp' && addresses.length > 1) remember(target, address);
      this.#settle();
      this.#options.resolve(socket);
    });
    if (this.#started < addresses.length) this.#stagger = setTimeout(() => this.next(), STAGGER_MS);
  }

  #refused(attempt: Attempt, error: Error): void {
    this.#failed.push(attempt);
    const { target, addresses } = this.#options;
    if (this.#started < addresses.length) return this.next();
    if (this.#pending.size === 0) this.#lose(unreachable(target, this.#failed, WORDS, error));
  }

  #lose(error: Error): void {
    this.#settle();
    this.#options.reject(error);
  }

  #settle(): void {
    this.#inTime();
    clearTimeout(this.#stagger);
    this.#options.signal?.removeEventListener('abort', this.#abort);
    const losers = [...this.#pending];
    this.#pending.clear();
    for (const socket of losers) socket.destroy();
  }
}

function open(target: Target, address: string): Socket {
  const common = { allowHalfOpen: true, highWaterMark: SOCKET_BUFFER_BYTES };
  return target.kind === 'unix'
    ? connect({ ...common, path: address })
    : connect({ ...common, host: address, port: target.port, noDelay: true, keepAlive: true });
}

const codeOf = (error: Error): string => systemCode(error) ?? error.message;
