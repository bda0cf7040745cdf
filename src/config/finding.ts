import type { ErrorCode } from '../lib/errors.js';
import { codeFrame } from './frame.js';
import { maskUrl, maskUrls } from './mask-urls.js';
import type { Problem } from './problem.js';
import type { Place } from './source.js';
import { placeOf, toPointer, type Path, type Tree } from './tree.js';

/** Each frame looks through all secrets, and nobody reads on after so many. */
const MAX_FRAMES = 100;
/** A short file has tens of thousands, where aliases repeat a mistake. */
const MAX_PROBLEMS = 1_000;

/** A problem that still knows its place; it becomes a `Problem` once it is known what to mask. */
export interface Finding {
  readonly place: Place;
  readonly path: Path;
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
}

/** What a rule says about a value; `finding` adds where it stands. */
export interface Complaint {
  readonly message: string;
  readonly hint?: string | undefined;
  readonly code?: ErrorCode;
  /** Where to point, if not at the path. */
  readonly place?: Place | undefined;
}

/** A finding about the value at `path`. */
export function finding(root: Tree, path: Path, complaint: Complaint): Finding {
  return {
    place: complaint.place ?? placeOf(root, path),
    path,
    code: complaint.code ?? 'config_invalid',
    message: complaint.message,
    ...(complaint.hint === undefined ? {} : { hint: complaint.hint }),
  };
}

/**
 * Findings as problems with their frames, in reading order: file by file, each from top to bottom.
 * `secrets` are masked in the frames.
 */
export function toProblems(findings: readonly Finding[], secrets: readonly Place[]): Problem[] {
  const files = [...new Set(findings.map((found) => found.place.source))];
  const sorted = findings.toSorted(
    (a, b) => files.indexOf(a.place.source) - files.indexOf(b.place.source) || a.place.start - b.place.start,
  );
  const beyond = sorted[MAX_PROBLEMS];
  const rest = `there are ${sorted.length - MAX_PROBLEMS} more problems`;
  const more: Finding[] = beyond ? [{ place: beyond.place, path: [], code: beyond.code, message: rest }] : [];
  return [...sorted.slice(0, MAX_PROBLEMS), ...more].map(({ place, path, code, message, hint }, index) => ({
    file: place.source.file,
    ...place.source.position(place.start),
    path: toPointer(path.map((part) => (typeof part === 'string' ? maskUrl(part) : part))),
    code,
    message: maskUrls(message),
    ...(hint === undefined ? {} : { hint: maskUrls(hint) }),
    ...(place.source.text !== '' && index < MAX_FRAMES && { frame: codeFrame(place, secrets) }),
  }));
}

/** Keeps the first finding on each path: what a later, finer rule says about a broken value only repeats it. */
export function firstPerPath(findings: readonly Finding[], later: readonly Finding[]): Finding[] {
  const seen = new Set(findings.map((found) => toPointer(found.path)));
  return [...findings, ...later.filter((found) => !seen.has(toPointer(found.path)))];
}
