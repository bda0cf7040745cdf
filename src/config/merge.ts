import type { Entry, Tree } from './tree.js';

/**
 * Lays `patch` over `target` as RFC 7396 (JSON Merge Patch) says: mappings merge, null removes, everything
 * else replaces. Every value keeps the place it was written at.
 */
export function mergePatch(target: Tree | undefined, patch: Tree): Tree {
  if (patch.kind !== 'map') return patch;
  const base = target?.kind === 'map' ? target : undefined;
  const entries = new Map<string, Entry>(base?.entries);
  for (const [key, entry] of patch.entries) {
    if (isNull(entry.value)) {
      entries.delete(key);
      continue;
    }
    const before = entries.get(key);
    const value = mergePatch(before?.value, entry.value);
    // A mapping that goes on from the base belongs to where it began; a value replaced, to its new place.
    const keyPlace = before?.value.kind === 'map' && value.kind === 'map' ? before.keyPlace : entry.keyPlace;
    entries.set(key, { keyPlace, value });
  }
  return { kind: 'map', place: (base ?? patch).place, entries };
}

function isNull(tree: Tree): boolean {
  return tree.kind === 'scalar' && tree.value === null;
}
