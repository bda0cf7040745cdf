import { asPortalError, PortalError, systemCode } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { formatTarget, type Target } from '../net/target.js';
import { askForEnd, askForHttp, askForHttp2, isHttp, type Speaks } from './ask-target.js';
import {
  KnownTargets,
  forgetShown,
  MIN_PAUSE_MS,
  noteShown,
  showsHttp,
  unknownTarget,
  type Decided,
  type KnownTarget,
} from './known-targets.js';
import type { UpstreamOptions } from './upstream.js';

export { isHttp, type Speaks } from './ask-target.js';

/** A visitor of a target that is back waits no longer than this for the right protocol. */
const MAX_PAUSE_MS = 5_000;
/** One that gave a clear answer is not doubted within this. */
const SURE_MS = 10_000;
/** The same where a target may be anything, and a doubt is one about how all its visitors are served. */
const SURE_OPEN_MS = 1_000;
/** Visitors can send an HTTP target what is no HTTP as often as they like. */
const SURE_HTTP_MS = 5_000;

/** Told of each connection to a target: of a failure, or of none. */
export type OnReached = (target: Target, failure?: PortalError) => void;

/** How TLS says that it takes another version of HTTP: the target is there. */
const NO_COMMON_ALPN = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';

export interface Watch {
  /** A target may speak anything: it is asked whether it speaks HTTP at all, and no more than that takes. */
  readonly isOpen?: () => boolean;
  /** What is known of a target may be another now. */
  readonly onChange?: () => void;
  /** A connection to a target failed, or did not. */
  readonly onReached?: OnReached;
}

/**
 * Which version of HTTP each target of a service takes. It is found out when somebody first wants to know, and
 * once more after the target was down or broke off; never per visitor.
 */
export class TargetProtocols {
  readonly #upstream: () => UpstreamOptions;
  readonly #log: Logger;
  readonly #watch: Watch;
  readonly #known: KnownTargets;
  /** By target: what is known of it, and the key of that. */
  readonly #held = new Map<string, { readonly key: string; readonly entry: KnownTarget }>();
  readonly #changed = (): void => this.#watch.onChange?.();
  #isClosed = false;

  /**
   * @param upstream how targets are connected to at present; the ALPN in it is not used
   * @param known what others know of the same targets
   */
  constructor(
    upstream: () => UpstreamOptions,
    log: Logger,
    watch: Watch = {},
    known: KnownTargets = new KnownTargets(),
  ) {
    this.#upstream = upstream;
    this.#log = log;
    this.#watch = watch;
    this.#known = known;
  }

  /** What is known of `target`; undefined while it is down, or was never asked. */
  speaks(target: Target): Speaks | undefined {
    return this.#entry(target).speaks;
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

  /** The target took a visitor's connection. */
  reached(target: Target): void {
    this.#watch.onReached?.(target);
  }

  /** A visitor's connection to the target failed. */
  failed(target: Target, failure: PortalError): void {
    if (systemCode(failure.cause) !== NO_COMMON_ALPN) this.#watch.onReached?.(target, failure);
    if (failure.code === 'target_down') this.forget(target);
  }

  /** The target did not answer a visitor: what it speaks when it is back may be something else. */
  forget(target: Target): void {
    forgetShown(this.#entry(target));
  }

  /**
   * Something about the target looks different from what is known: it is asked anew, now and then. Resolves once that
   * is done, within the bounds of `learn`.
   */
  async doubt(target: Target): Promise<void> {
    const entry = this.#entry(target);
    if (entry.speaks) await this.#ask(target, entry, true);
  }

  /** The target answered a visitor's request in HTTP, whatever it did when it was asked. */
  answered(target: Target): void {
    const entry = this.#entry(target);
    if (!this.#watch.isOpen?.() || isHttp(entry.speaks) || entry.isHttp) return;
    entry.isHttp = true;
    noteShown(entry);
    // Which versions is another question.
    void this.#ask(target, entry);
  }

  /** Whether `target` speaks HTTP: undefined while it has not shown what it speaks. */
  isHttp(target: Target): boolean | undefined {
    return showsHttp(this.#entry(target));
  }

  /** What visitors of `target` are served as, in a service of mode auto. */
  servedAs(target: Target): Decided {
    return this.#entry(target).servedAs;
  }

  /**
   * Whether the TLS of `target` announces the end of a connection with close_notify; undefined if it does not say.
   * It is asked once. Bounded by the connect and `ANSWER_MS`.
   */
  announcesEnd(target: Target): Promise<boolean | undefined> {
    const entry = this.#entry(target);
    entry.announcesEnd ??= this.#askForEnd(target, entry);
    return entry.announcesEnd;
  }

  async #askForEnd(target: Target, entry: KnownTarget): Promise<boolean | undefined> {
    const announces = await askForEnd(target, this.#upstream()).catch(() => undefined);
    if (announces === undefined) delete entry.announcesEnd;
    this.#log.debug(
      { target: formatTarget(target), announces },
      'found out how the target ends a connection',
    );
    return announces;
  }

  /** How long `learn` asks `target` nothing, milliseconds. */
  restMs(target: Target): number {
    return Math.max(0, this.#entry(target).notBefore - performance.now());
  }

  /** Keeps nothing of targets that are not in `targets`. */
  keepOnly(targets: readonly Target[]): void {
    const kept = new Set(targets.map(formatTarget));
    for (const target of this.#held.keys()) if (!kept.has(target)) this.#release(target);
  }

  /** Targets are asked, or connected to, in another way from now on. */
  reset(): void {
    this.keepOnly([]);
  }

  /** Nobody is told of changes any more. */
  close(): void {
    this.#isClosed = true;
    this.reset();
  }

  #entry(target: Target): KnownTarget {
    const name = formatTarget(target);
    const held = this.#held.get(name);
    if (held) return held.entry;
    if (this.#isClosed) return unknownTarget();
    // Asked or connected to in another way, the same target may show something else.
    const key = `${name} ${JSON.stringify([this.#watch.isOpen?.() ?? false, this.#upstream()])}`;
    const entry = this.#known.follow(key, this.#changed);
    this.#held.set(name, { key, entry });
    return entry;
  }

  #release(target: string): void {
    const { key } = this.#held.get(target)!;
    this.#held.delete(target);
    this.#known.release(key, this.#changed);
  }

  #ask(target: Target, entry: KnownTarget, isDoubted = false): Promise<void> {
    if (entry.asking) return entry.asking;
    if (entry.notBefore > performance.now()) return Promise.resolve();
    entry.asking = this.#find(target, entry, isDoubted).finally(() => delete entry.asking);
    return entry.asking;
  }

  async #find(target: Target, entry: KnownTarget, isDoubted: boolean): Promise<void> {
    const name = formatTarget(target);
    try {
      const isAnything = this.#watch.isOpen?.() && (isDoubted || !entry.isHttp);
      const answer = await (isAnything ? askForHttp : askForHttp2)(target, this.#upstream());
      const { speaks, isSure } = answer;
      delete entry.failure;
      this.#watch.onReached?.(target);
      // Only a clear answer puts an end to what a target was known for.
      const stays = isDoubted && !isSure && this.isHttp(target) === true;
      if (!stays) entry.speaks = speaks;
      if (speaks === 'other') delete entry.isHttp;
      if (isSure || stays)
        Object.assign(entry, { notBefore: performance.now() + this.#sureMs(target), pauseMs: MIN_PAUSE_MS });
      else pause(entry);
      this.#log.debug({ target: name, speaks, isSure }, 'found out what the target speaks');
    } catch (error) {
      delete entry.speaks;
      entry.failure = asPortalError(error);
      this.#watch.onReached?.(target, entry.failure);
      pause(entry);
      this.#log.debug(
        { target: name, reason: entry.failure.message },
        'the target did not show what it speaks',
      );
    }
    noteShown(entry);
  }

  /** How long a target that is known is not asked anew, milliseconds. */
  #sureMs(target: Target): number {
    if (!this.#watch.isOpen?.()) return SURE_MS;
    return this.isHttp(target) === true ? SURE_HTTP_MS : SURE_OPEN_MS;
  }
}

function pause(entry: KnownTarget): void {
  entry.notBefore = performance.now() + entry.pauseMs;
  entry.pauseMs = Math.min(entry.pauseMs * 2, MAX_PAUSE_MS);
}
