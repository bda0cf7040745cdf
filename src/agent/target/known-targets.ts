import type { PortalError } from '../../lib/errors.js';
import { isHttp, type Speaks } from './probe-target.js';
import type { ServedAs } from '../spec.js';

/** Pause before a target that was down or silent is asked again. It doubles each time. */
export const MIN_PAUSE_MS = 1_000;

export type Decided = Extract<ServedAs, 'http' | 'stream' | 'undecided'>;

/** What one target has shown. */
export interface KnownTarget {
  speaks?: Speaks;
  /** It responded to a visitor in HTTP. */
  isHttp?: true;
  /** How visitors of a service of mode auto are served. */
  servedAs: Decided;
  probing?: Promise<void>;
  /** Whether its TLS announces its end. Known once a caller needed it and the target responded. */
  announcesEnd?: Promise<boolean | undefined>;
  /** Why the target did not respond to the last probe. */
  failure?: PortalError;
  /** Not probed again before this time (performance.now). */
  notBefore: number;
  pauseMs: number;
  /** Called when this entry may have changed. */
  readonly followers: Set<() => void>;
}

/**
 * What an agent knows of its targets. All leases that reach a target in the same way share its entry: the agent
 * probes it once for all of them, and serves them in the same way.
 */
export class KnownTargets {
  readonly #targets = new Map<string, KnownTarget>();

  /** The entry of `target`, a key that begins with the target's name. Kept until its last follower releases it. */
  follow(target: string, follower: () => void): KnownTarget {
    let known = this.#targets.get(target);
    if (!known) this.#targets.set(target, (known = unknownTarget()));
    known.followers.add(follower);
    return known;
  }

  /** Forgets what an unhealthy target has shown: it may be another program once it is healthy. */
  forget(name: string): void {
    for (const [target, known] of this.#targets)
      if (target === name || target.startsWith(`${name} `)) forgetShown(known);
  }

  release(target: string, follower: () => void): void {
    const followers = this.#targets.get(target)?.followers;
    followers?.delete(follower);
    if (followers?.size === 0) this.#targets.delete(target);
  }
}

/** Forgets the entry. The target is probed again after a pause. */
export function forgetShown(known: KnownTarget): void {
  delete known.announcesEnd;
  if (!known.speaks && !known.isHttp) return;
  delete known.speaks;
  delete known.isHttp;
  known.notBefore = performance.now() + MIN_PAUSE_MS;
  known.pauseMs = MIN_PAUSE_MS;
  noteShown(known);
}

export function unknownTarget(): KnownTarget {
  return { servedAs: 'undecided', notBefore: 0, pauseMs: MIN_PAUSE_MS, followers: new Set() };
}

/** Whether the target speaks HTTP. Undefined while it has not shown its protocol. */
export function showsHttp({ speaks, isHttp: hasResponded }: KnownTarget): boolean | undefined {
  if (hasResponded || isHttp(speaks)) return true;
  return speaks === 'other' || speaks === 'closes' ? false : undefined;
}

/**
 * Decides from a clear response of the target. Only another clear response changes the decision: a target that is down or silent
 * is served as before.
 */
export function noteShown(known: KnownTarget): void {
  const http = showsHttp(known);
  if (http) known.servedAs = 'http';
  // A target that only closes may not have been ready: not a reason to change the decision.
  else if (http === false && (known.speaks === 'other' || known.servedAs === 'undecided'))
    known.servedAs = 'stream';
  for (const follower of known.followers) follower();
}
