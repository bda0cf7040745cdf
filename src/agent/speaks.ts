import type { Socket } from 'node:net';
import { asPortalError, PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { deadline } from '../lib/wait.js';
import { formatTarget, type Target } from '../net/target.js';
import { GOODBYE, isSettings, PREFACE } from './h2-words.js';
import { alpnOf, connectTarget, type UpstreamOptions } from './upstream.js';

/** Which versions of HTTP a target takes: h1 (or something that is not HTTP at all), h2, or either. */
export type Speaks = 'h1' | 'h2' | 'both';

/** A target that takes HTTP/2 says so at once; silence for this long is a no. */
const ANSWER_MS = 1_000;
/** A target that was down or silent is asked again after this, doubled each time up to the maximum. */
const MIN_PAUSE_MS = 1_000;
/** A visitor of a target that is back waits no longer than this for the right protocol. */
const MAX_PAUSE_MS = 5_000;
/** One that gave a clear answer is not doubted within this. */
const SURE_MS = 10_000;

/** Refused by any server of HTTP/1.1, and so out of the application's sight: it lacks `Host` (RFC 9112 §3.2). */
const NO_HOST = Buffer.from('OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n');

interface Entry {
  speaks?: Speaks;
  asking?: Promise<void>;
  /** Why the target did not answer when it was last asked. */
  failure?: PortalError;
  /** Not asked again before this moment (performance.now). */
  notBefore: number;
  pauseMs: number;
}

/**
 * Which version of HTTP each target of a service takes. It is found out when somebody first wants to know, and
 * once more after the target was down or broke off; never per visitor.
 */
export class TargetProtocols {
  readonly #upstream: () => UpstreamOptions;
  readonly #log: Logger;
  readonly #entries = new Map<string, Entry>();

  /** @param upstream how targets are connected to at present; the ALPN in it is not used */
  constructor(upstream: () => UpstreamOptions, log: Logger) {
    this.#upstream = upstream;
    this.#log = log;
  }

  /** What is known of `target`; undefined while it is down, or was never asked. */
  speaks(target: Target): Speaks | undefined {
    return this.#entries.get(formatTarget(target))?.speaks;
  }

  /**
   * Asks `target` if need be. Resolves with what it speaks; undefined if it is down. Bounded by the connect and
   * `ANSWER_MS` for each of two questions. What is known, or was asked in vain a moment ago, costs nothing.
   */
  async learn(target: Target): Promise<Speaks | undefined> {
    const entry = this.#entry(target);
    if (entry.speaks) return entry.speaks;
    await this.#ask(target, entry);
    return entry.speaks;
  }

  /**
   * The same for a request that is about to be sent, and cannot be sent twice: it does not wait for the next time to
   * ask. Throws what keeps the target from answering (`target_down`).
   */
  async learnNow(target: Target): Promise<Speaks> {
    const entry = this.#entry(target);
    if (!entry.speaks) {
      if (!entry.asking) entry.notBefore = 0;
      await this.#ask(target, entry);
    }
    if (entry.speaks) return entry.speaks;
    throw entry.failure ?? new PortalError('target_down', `${formatTarget(target)} does not answer`);
  }

  /** Whether `learn` would have to wait. */
  mustAsk(target: Target): boolean {
    const entry = this.#entry(target);
    return !entry.speaks && (entry.asking !== undefined || entry.notBefore <= performance.now());
  }

  /** The target did not answer a visitor: what it speaks when it is back may be something else. */
  forget(target: Target): void {
    const entry = this.#entry(target);
    if (!entry.speaks) return;
    delete entry.speaks;
    entry.notBefore = performance.now() + MIN_PAUSE_MS;
    entry.pauseMs = MIN_PAUSE_MS;
  }

  /** Something about the target looks different from what is known: it is asked anew behind the scenes, now and then. */
  doubt(target: Target): void {
    const entry = this.#entry(target);
    if (entry.speaks) void this.#ask(target, entry);
  }

  /** Keeps nothing of targets that are not in `targets`. */
  keepOnly(targets: readonly Target[]): void {
    const keys = new Set(targets.map(formatTarget));
    for (const key of this.#entries.keys()) if (!keys.has(key)) this.#entries.delete(key);
  }

  /** Targets are connected to in another way from now on. */
  reset(): void {
    this.#entries.clear();
  }

  #entry(target: Target): Entry {
    const key = formatTarget(target);
    let entry = this.#entries.get(key);
    if (!entry) this.#entries.set(key, (entry = { notBefore: 0, pauseMs: MIN_PAUSE_MS }));
    return entry;
  }

  #ask(target: Target, entry: Entry): Promise<void> {
    if (entry.asking) return entry.asking;
    if (entry.notBefore > performance.now()) return Promise.resolve();
    entry.asking = this.#find(target, entry).finally(() => delete entry.asking);
    return entry.asking;
  }

  async #find(target: Target, entry: Entry): Promise<void> {
    const name = formatTarget(target);
    try {
      const { speaks, isSure } = await ask(target, this.#upstream());
      entry.speaks = speaks;
      delete entry.failure;
      if (isSure) Object.assign(entry, { notBefore: performance.now() + SURE_MS, pauseMs: MIN_PAUSE_MS });
      else pause(entry);
      this.#log.debug({ target: name, speaks, isSure }, 'found out what the target speaks');
    } catch (error) {
      delete entry.speaks;
      entry.failure = asPortalError(error);
      pause(entry);
      this.#log.debug({ target: name, reason: entry.failure.message }, 'nobody told what the target speaks');
    }
  }
}

function pause(entry: Entry): void {
  entry.notBefore = performance.now() + entry.pauseMs;
  entry.pauseMs = Math.min(entry.pauseMs * 2, MAX_PAUSE_MS);
}

async function ask(target: Target, upstream: UpstreamOptions): Promise<{ speaks: Speaks; isSure: boolean }> {
  const sure = (speaks: Speaks) => ({ speaks, isSure: true });
  if (target.kind === 'tcp' && target.tls) {
    const agreed = await alpnWith(target, upstream, ['h2', 'http/1.1']);
    if (agreed !== 'h2') return sure('h1');
    const alone = await alpnWith(target, upstream, ['http/1.1']).catch(() => 'none');
    return sure(alone === 'none' ? 'h2' : 'both');
  }
  const answer = await say(target, upstream, PREFACE);
  if (!isSettings(answer)) return { speaks: 'h1', isSure: answer !== undefined };
  const plain = await say(target, upstream, NO_HOST).catch(() => undefined);
  return sure(plain?.toString('latin1').startsWith('HTTP/1.') ? 'both' : 'h2');
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

/** The first nine bytes of the answer to `words`, or as much as came; undefined if nothing came at all. */
async function say(target: Target, upstream: UpstreamOptions, words: Buffer): Promise<Buffer | undefined> {
  const socket = await connectTarget(target, upstream);
  const heard = await firstBytes(socket, words);
  if (isSettings(heard)) socket.end(GOODBYE);
  // What it still says is read and dropped: its own goodbye must not become a reset for it.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), ANSWER_MS).unref();
  socket.once('end', () => socket.destroy()).once('close', () => clearTimeout(timer));
  if (!isSettings(heard)) socket.end();
  return heard;
}

function firstBytes(socket: Socket, words: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let heard = Buffer.alloc(0);
    const finish = (): void => {
      cancel();
      socket.off('data', onData).off('end', finish).off('close', finish);
      resolve(heard.length === 0 && !socket.readableEnded ? undefined : heard);
    };
    const onData = (chunk: Buffer): void => {
      heard = Buffer.concat([heard, chunk]);
      if (heard.length >= 9) finish();
    };
    // A busy machine must not take an answer that it has not read yet for silence.
    const cancel = deadline(ANSWER_MS, finish);
    socket.on('data', onData).once('end', finish).once('close', finish);
    socket.write(words);
  });
}
