import type { Entry, Tree } from './text/tree.js';

/**
 * Applies `patch` to `target` as RFC 7396 (JSON Merge Patch) defines: mappings merge, null removes, everything else
 * replaces. Every value keeps its place in its source.
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
    // A merged mapping keeps its place in the base; a replaced value has its new place.
    const keyPlace = before?.value.kind === 'map' && value.kind === 'map' ? before.keyPlace : entry.keyPlace;
    entries.set(key, { keyPlace, value });
  }
  return { kind: 'map', place: (base ?? patch).place, entries };
}

/**
 * Applies the overlay to the configuration like `mergePatch`. In addition, expands a service or route that is written
 * as a bare target, so that it merges with a mapping and neither side loses settings.
 */
export function mergeOverlay(base: Tree, overlay: Tree): Tree {
  const [one, other] = alignAt('services', base, overlay, (service, patch) =>
    alignAt('routes', ...expand(service, patch), expand),
  );
  return mergePatch(one, other);
}

/** The configuration without these services. */
export function omitServices(root: Tree, names: readonly string[] = []): Tree {
  const services = root.kind === 'map' ? root.entries.get('services') : undefined;
  if (root.kind !== 'map' || services?.value.kind !== 'map' || names.length === 0) return root;
  const rest = new Map([...services.value.entries].filter(([name]) => !names.includes(name)));
  const value = { ...services.value, entries: rest };
  return { ...root, entries: new Map(root.entries).set('services', { ...services, value }) };
}

type Pair = readonly [base: Tree, overlay: Tree];
type Align = (base: Tree, overlay: Tree) => Pair;

/** Aligns the common keys of two mappings below `key`. */
function alignAt(key: string, base: Tree, overlay: Tree, align: Align): Pair {
  return alignShared(base, overlay, [key], (one, other) =>
    alignShared(one, other, other.kind === 'map' ? other.entries.keys() : [], align),
  );
}

function alignShared(base: Tree, overlay: Tree, keys: Iterable<string>, align: Align): Pair {
  if (base.kind !== 'map' || overlay.kind !== 'map') return [base, overlay];
  const [one, other] = [new Map(base.entries), new Map(overlay.entries)];
  for (const key of keys) {
    const [from, patch] = [one.get(key), other.get(key)];
    if (!from || !patch) continue;
    const [value, patchValue] = align(from.value, patch.value);
    one.set(key, { ...from, value });
    other.set(key, { ...patch, value: patchValue });
  }
  return [
    { ...base, entries: one },
    { ...overlay, entries: other },
  ];
}

function expand(base: Tree, overlay: Tree): Pair {
  if (isTargetAlone(base) && overlay.kind === 'map') return [asMapping(base), overlay];
  if (base.kind === 'map' && isTargetAlone(overlay)) return [base, asMapping(overlay)];
  return [base, overlay];
}

function isTargetAlone(tree: Tree): boolean {
  return tree.kind === 'scalar' && tree.value !== null;
}

function asMapping(target: Tree): Tree {
  const { place } = target;
  return { kind: 'map', place, entries: new Map([['target', { keyPlace: place, value: target }]]) };
}

function isNull(tree: Tree): boolean {
  return tree.kind === 'scalar' && tree.value === null;
}
