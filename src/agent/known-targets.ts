import type { PortalError } from '../lib/errors.js';
import { isHttp, type Speaks } from './ask-target.js';
import type { ServedAs } from './spec.js';

/** A target that was down or silent is asked again after this, doubled each time. */
export const MIN_PAUSE_MS = 1_000;

export type Decided = Extract<ServedAs, 'http' | 'stream' | 'undecided'>;

/** What one target showed of itself. */
export interface KnownTarget {
  speaks?: Speaks;
  /** It answered a visitor in HTTP. */
  isHttp?: true;
  /** How visitors of a service of mode auto are served. */
  servedAs: Decided;
  asking?: Promise<void>;
  /** Whether its TLS announces its end; known once somebody asked, and the target answered. */
  announcesEnd?: Promise<boolean | undefined>;
  /** Why the target did not answer when it was last asked. */
  failure?: PortalError;
  /** Not asked again before this moment (performance.now). */
  notBefore: number;
  pauseMs: number;
  /** Called when what is known may be another now. */
  readonly followers: Set<() => void>;
}

/**
 * What an agent knows of its targets. All leases that lead to one target in the same way share what it showed: it is asked
 * once for all of them, and they serve it alike.
 */
export class KnownTargets {
  readonly #targets = new Map<string, KnownTarget>();

  /** What is known of `target`, which begins with its name, kept until the last of those who follow it is released. */
  follow(target: string, follower: () => void): KnownTarget {
    let known = this.#targets.get(target);
    if (!known) this.#targets.set(target, (known = unknownTarget()));
    known.followers.add(follower);
    return known;
  }

  /** The target of this name is unhealthy: what it speaks once it is healthy may be something else. */
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

/** It is asked again, after a pause. */
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

/** Whether it speaks HTTP: undefined while it has not shown what it speaks. */
export function showsHttp({ speaks, isHttp: hasAnswered }: KnownTarget): boolean | undefined {
  if (hasAnswered || isHttp(speaks)) return true;
  return speaks === 'other' || speaks === 'closes' ? false : undefined;
}

/**
 * Decides by a clear answer of the target, and changes that only by another one: a target that is down, or says nothing, is
 * served as it was before.
 */
export function noteShown(known: KnownTarget): void {
  const http = showsHttp(known);
  if (http) known.servedAs = 'http';
  // One that only closes was perhaps not ready: no reason to give up what it was known for.
  else if (http === false && (known.speaks === 'other' || known.servedAs === 'undecided'))
    known.servedAs = 'stream';
  for (const follower of known.followers) follower();
}
