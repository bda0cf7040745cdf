import type { ErrorCode } from '../../lib/errors.js';
import { codeFrame } from './frame.js';
import { maskUrl, maskUrls } from '../variables/mask-urls.js';
import type { Problem } from './problem.js';
import type { Place } from './source.js';
import { placeOf, toPointer, type Path, type Tree } from './tree.js';

/** Each frame searches all secrets, and no one reads more frames than this. */
const MAX_FRAMES = 100;
/** A short file can have tens of thousands, if aliases repeat a mistake. */
const MAX_PROBLEMS = 1_000;

/** A problem with its place in the source. It becomes a `Problem` once all secrets to mask are known. */
export interface Finding {
  readonly place: Place;
  readonly path: Path;
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  /** The variable that is not set, if that is the problem. */
  readonly variable?: string;
}

/** What a rule reports about a value; `finding` adds the place. */
export interface Complaint {
  readonly message: string;
  readonly hint?: string | undefined;
  readonly code?: ErrorCode;
  /** The place to show, if it is not the path. */
  readonly place?: Place | undefined;
}

/** For a path that begins with `~`. */
export const HOME_NOT_EXPANDED: Complaint = {
  message: '`~` is not expanded to your home directory here',
  hint: 'Write ${HOME} instead, or a path relative to this file.',
};

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
 * Turns findings into problems with frames, in reading order: by file, from top to bottom. Masks `secrets` in the
 * frames.
 */
export function toProblems(findings: readonly Finding[], secrets: readonly Place[]): Problem[] {
  const files = [...new Set(findings.map((found) => found.place.source))];
  const sorted = findings.toSorted(
    (a, b) => files.indexOf(a.place.source) - files.indexOf(b.place.source) || a.place.start - b.place.start,
  );
  const beyond = sorted[MAX_PROBLEMS];
  const rest = `there are ${sorted.length - MAX_PROBLEMS} more problems`;
  const more: Finding[] = beyond ? [{ place: beyond.place, path: [], code: beyond.code, message: rest }] : [];
  return [...sorted.slice(0, MAX_PROBLEMS), ...more].map(
    ({ place, path, code, message, hint, variable }, index) => ({
      file: place.source.file,
      ...place.source.position(place.start),
      path: toPointer(path.map((part) => (typeof part === 'string' ? maskUrl(part) : part))),
      code,
      message: maskUrls(message),
      ...(hint === undefined ? {} : { hint: maskUrls(hint) }),
      ...(variable !== undefined && { variable }),
      ...(place.source.text !== '' && index < MAX_FRAMES && { frame: codeFrame(place, secrets) }),
    }),
  );
}

/** Keeps the first finding per path. A later, finer rule would only repeat a broken value. */
export function firstPerPath(findings: readonly Finding[], later: readonly Finding[]): Finding[] {
  const seen = new Set(findings.map((found) => toPointer(found.path)));
  return [...findings, ...later.filter((found) => !seen.has(toPointer(found.path)))];
}
