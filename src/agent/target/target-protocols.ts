import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { formatTarget, type Target } from '../../net/target/target.js';
import { probeClose, probeHttp, probeHttp2, isHttp, type Speaks } from './probe-target.js';
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

export { isHttp, type Speaks } from './probe-target.js';

/** Longest wait of a visitor for the protocol of a target that is back. */
const MAX_PAUSE_MS = 5_000;
/** After a clear response, the target is not probed again for this long. */
const RECHECK_MS = 10_000;
/** The same for mode auto, where a recheck decides how all visitors are served. */
const RECHECK_OPEN_MS = 1_000;
/** Visitors can send invalid HTTP to an HTTP target at any rate. */
const RECHECK_HTTP_MS = 5_000;

/** Called for each connection to a target, with its error if it failed. */
export type OnReached = (target: Target, failure?: PortalError) => void;

/** The TLS error of a target that accepts only another version of HTTP: the target is up. */
const NO_COMMON_ALPN = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';

export interface Watch {
  /** Whether a target may use any protocol. Then the probe only detects whether it speaks HTTP at all. */
  readonly isOpen?: () => boolean;
  /** Called when the known protocol of a target may have changed. */
  readonly onChange?: () => void;
  /** Called for each connection to a target. */
  readonly onReached?: OnReached;
}

/**
 * Which version of HTTP each target of a service accepts. Detected when a caller first needs it, and again after the target
 * was down or broke a connection, but never per visitor.
 */
export class TargetProtocols {
  readonly #upstream: () => UpstreamOptions;
  readonly #log: Logger;
  readonly #watch: Watch;
  readonly #known: KnownTargets;
  /** Per target: its entry, and the entry's key. */
  readonly #held = new Map<string, { readonly key: string; readonly entry: KnownTarget }>();
  readonly #changed = (): void => this.#watch.onChange?.();
  #isClosed = false;

  /**
   * @param upstream current connection options of targets; their ALPN is not used
   * @param known what other services know of the same targets
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

  /** The protocols of `target`. Undefined while it is down or was never probed. */
  speaks(target: Target): Speaks | undefined {
    return this.#entry(target).speaks;
  }

  /**
   * Probes `target` if necessary. Resolves with its protocols, or undefined if it is down. Limited by the connect timeout and
   * `RESPONSE_MS` for each of two probes. Returns immediately after a recent probe.
   */
  async detect(target: Target): Promise<Speaks | undefined> {
    const entry = this.#entry(target);
    if (entry.speaks) return entry.speaks;
    await this.#probe(target, entry);
    return entry.speaks;
  }

  /**
   * The same for a request that cannot be sent twice: it ignores the pause between probes. Throws `target_down` or
   * another error that keeps the target from responding.
   */
  async detectNow(target: Target): Promise<Speaks> {
    const entry = this.#entry(target);
    if (!entry.speaks) {
      if (!entry.probing) entry.notBefore = 0;
      await this.#probe(target, entry);
    }
    if (entry.speaks) return entry.speaks;
    throw entry.failure ?? new PortalError('target_down', `${formatTarget(target)} does not respond`);
  }

  /** Whether `detect` would have to wait. */
  mustProbe(target: Target): boolean {
    const entry = this.#entry(target);
    return !entry.speaks && (entry.probing !== undefined || entry.notBefore <= performance.now());
  }

  /** The target accepted a visitor's connection. */
  reached(target: Target): void {
    this.#watch.onReached?.(target);
  }

  /** A visitor's connection to the target failed. */
  failed(target: Target, failure: PortalError): void {
    if (systemCode(failure.cause) !== NO_COMMON_ALPN) this.#watch.onReached?.(target, failure);
    if (failure.code === 'target_down') this.forget(target);
  }

  /** The target did not respond to a visitor. It may be another program when it is back. */
  forget(target: Target): void {
    forgetShown(this.#entry(target));
  }

  /**
   * The target behaved differently from its known protocol. Probes it again, at a limited rate. Resolves once that is
   * done, within the timeouts of `detect`.
   */
  async recheck(target: Target): Promise<void> {
    const entry = this.#entry(target);
    if (entry.speaks) await this.#probe(target, entry, true);
  }

  /** The target responded to a visitor's request in HTTP, whatever the probe found. */
  respondedInHttp(target: Target): void {
    const entry = this.#entry(target);
    if (!this.#watch.isOpen?.() || isHttp(entry.speaks) || entry.isHttp) return;
    entry.isHttp = true;
    noteShown(entry);
    // The versions are still to be detected.
    void this.#probe(target, entry);
  }

  /** Whether `target` speaks HTTP. Undefined while it has not shown its protocol. */
  isHttp(target: Target): boolean | undefined {
    return showsHttp(this.#entry(target));
  }

  /** What visitors of `target` are served as in mode auto. */
  servedAs(target: Target): Decided {
    return this.#entry(target).servedAs;
  }

  /**
   * Whether the TLS of `target` ends connections with close_notify. Undefined if it does not show that. Detected once, within
   * the connect timeout and `RESPONSE_MS`.
   */
  announcesEnd(target: Target): Promise<boolean | undefined> {
    const entry = this.#entry(target);
    entry.announcesEnd ??= this.#probeClose(target, entry);
    return entry.announcesEnd;
  }

  async #probeClose(target: Target, entry: KnownTarget): Promise<boolean | undefined> {
    const announces = await probeClose(target, this.#upstream()).catch(() => undefined);
    if (announces === undefined) delete entry.announcesEnd;
    this.#log.debug({ target: formatTarget(target), announces }, 'detected how the target ends a connection');
    return announces;
  }

  /** Milliseconds until `detect` may probe `target` again. */
  untilProbeMs(target: Target): number {
    return Math.max(0, this.#entry(target).notBefore - performance.now());
  }

  /** Drops the entries of targets that are not in `targets`. */
  keepOnly(targets: readonly Target[]): void {
    const kept = new Set(targets.map(formatTarget));
    for (const target of this.#held.keys()) if (!kept.has(target)) this.#release(target);
  }

  /** Targets are probed or reached in another way from now on. */
  reset(): void {
    this.keepOnly([]);
  }

  /** Stops reporting changes. */
  close(): void {
    this.#isClosed = true;
    this.reset();
  }

  #entry(target: Target): KnownTarget {
    const name = formatTarget(target);
    const held = this.#held.get(name);
    if (held) return held.entry;
    if (this.#isClosed) return unknownTarget();
    // The key contains how the target is probed and reached, because that may change its behaviour.
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

  #probe(target: Target, entry: KnownTarget, isRecheck = false): Promise<void> {
    if (entry.probing) return entry.probing;
    if (entry.notBefore > performance.now()) return Promise.resolve();
    entry.probing = this.#find(target, entry, isRecheck).finally(() => delete entry.probing);
    return entry.probing;
  }

  async #find(target: Target, entry: KnownTarget, isRecheck: boolean): Promise<void> {
    const name = formatTarget(target);
    try {
      const isAnything = this.#watch.isOpen?.() && (isRecheck || !entry.isHttp);
      const result = await (isAnything ? probeHttp : probeHttp2)(target, this.#upstream());
      const { speaks, isSure } = result;
      delete entry.failure;
      this.#watch.onReached?.(target);
      // Only a clear response replaces a known protocol.
      const stays = isRecheck && !isSure && this.isHttp(target) === true;
      if (!stays) entry.speaks = speaks;
      if (speaks === 'other') delete entry.isHttp;
      if (isSure || stays)
        Object.assign(entry, {
          notBefore: performance.now() + this.#recheckMs(target),
          pauseMs: MIN_PAUSE_MS,
        });
      else pause(entry);
      this.#log.debug({ target: name, speaks, isSure }, 'detected the protocol of the target');
    } catch (error) {
      delete entry.speaks;
      entry.failure = asPortalError(error);
      this.#watch.onReached?.(target, entry.failure);
      pause(entry);
      this.#log.debug(
        { target: name, reason: entry.failure.message },
        'could not detect the protocol of the target',
      );
    }
    noteShown(entry);
  }

  /** Milliseconds during which a known target is not probed again. */
  #recheckMs(target: Target): number {
    if (!this.#watch.isOpen?.()) return RECHECK_MS;
    return this.isHttp(target) === true ? RECHECK_HTTP_MS : RECHECK_OPEN_MS;
  }
}

function pause(entry: KnownTarget): void {
  entry.notBefore = performance.now() + entry.pauseMs;
  entry.pauseMs = Math.min(entry.pauseMs * 2, MAX_PAUSE_MS);
}
