import type { Entry, Tree } from './text/tree.js';

/**
 * The configuration without the keys that begin with `x-`, at the top and in services. As in Docker Compose, they hold what
 * anchors share.
 */
export function withoutExtensions(root: Tree): Tree {
  const top = without(root);
  const services = top.kind === 'map' ? top.entries.get('services') : undefined;
  if (top.kind !== 'map' || services?.value.kind !== 'map') return top;
  const each = [...services.value.entries].map(
    ([name, entry]) => [name, { ...entry, value: without(entry.value) }] as const,
  );
  const value: Tree = { ...services.value, entries: new Map(each) };
  return { ...top, entries: new Map(top.entries).set('services', { ...services, value }) };
}

function without(tree: Tree): Tree {
  if (tree.kind !== 'map' || ![...tree.entries.keys()].some(isExtension)) return tree;
  const rest = [...tree.entries].filter(([key]: [string, Entry]) => !isExtension(key));
  return { ...tree, entries: new Map(rest) };
}

const isExtension = (key: string): boolean => key.startsWith('x-');
