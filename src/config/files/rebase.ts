import { isAbsolute, relative, resolve, sep } from 'node:path';
import type { Place } from '../text/source.js';
import { child, entriesOf, type Entry, type MapTree, type ScalarTree, type Tree } from '../text/tree.js';

/**
 * Makes the paths of included files start from the folder of the configuration. As written, they start from the folder of
 * their own file. Skips values of the wrong type, which other checks report.
 */
export function rebase(root: Tree, directory: string): Tree {
  return changed(root, {
    services: (services) => eachIn(services, (service) => program(serviceOf(service, directory), directory)),
  });
}

type Change = (tree: Tree) => Tree;

function serviceOf(service: Tree, directory: string): Tree {
  const path: Change = (tree) => moved(tree, directory);
  const ca: Change = (tree) => changed(tree, { ca: path });
  if (service.kind !== 'map') return target(service, directory);
  return changed(service, {
    target: (tree) => target(tree, directory),
    cwd: path,
    targetTls: ca,
    tls: (tree) => changed(tree, { cert: path, key: path }),
    relays: (tree) => (tree.kind === 'list' ? { ...tree, items: tree.items.map(ca) } : tree),
    routes: (routes) => eachIn(routes, (route) => routeOf(route, directory)),
  });
}

function routeOf(route: Tree, directory: string): Tree {
  if (route.kind !== 'map') return target(route, directory);
  const own = changed(route, {
    target: (tree) => target(tree, directory),
    cwd: (tree) => moved(tree, directory),
  });
  return program(own, directory);
}

/** A command without `cwd` runs in the folder of its file. */
function program(options: Tree, directory: string): Tree {
  const command = child(options, 'command');
  if (options.kind !== 'map' || !command || options.entries.has('cwd')) return options;
  const { place } = command;
  const { folder } = place.source;
  if (folder === undefined || folder === directory) return options;
  const cwd: Entry = { keyPlace: place, value: scalar(place, fromFolder(folder, directory)) };
  return { ...options, entries: new Map(options.entries).set('cwd', cwd) };
}

/** A target with a path: a socket or a folder. */
function target(tree: Tree, directory: string): Tree {
  if (tree.kind !== 'scalar' || typeof tree.value !== 'string') return tree;
  const text = tree.value.trim();
  if (text.startsWith('unix:')) {
    const path = moved({ ...tree, value: text.slice('unix:'.length) }, directory);
    return path.kind === 'scalar' ? { ...path, value: `unix:${path.value}` } : tree;
  }
  return /^\.{1,2}([/\\]|$)/.test(text) ? moved(tree, directory) : tree;
}

/** A path in an included file. */
function moved(tree: Tree, directory: string): Tree {
  if (tree.kind !== 'scalar' || typeof tree.value !== 'string') return tree;
  const { folder } = tree.place.source;
  const text = tree.value;
  if (folder === undefined || folder === directory || text === '' || text.startsWith('~') || isAbsolute(text))
    return tree;
  return { ...tree, value: fromFolder(resolve(folder, text), directory) };
}

/** A path as people write it in the configuration. */
function fromFolder(path: string, directory: string): string {
  const below = relative(directory, path);
  if (isAbsolute(below)) return below;
  const text = below.replaceAll(sep, '/');
  return text.startsWith('..') ? text : `./${text}`;
}

const scalar = (place: Place, value: string): ScalarTree => ({
  kind: 'scalar',
  place,
  value,
  interpolated: false,
});

/** A mapping whose values under these keys are changed. */
function changed(tree: Tree, changes: Readonly<Record<string, Change>>): Tree {
  if (tree.kind !== 'map') return tree;
  return mapped(tree, (key, value) => (Object.hasOwn(changes, key) ? changes[key]!(value) : value));
}

const eachIn = (tree: Tree, change: Change): Tree =>
  tree.kind === 'map' ? mapped(tree, (_key, value) => change(value)) : tree;

function mapped(tree: MapTree, change: (key: string, value: Tree) => Tree): MapTree {
  const entries = [...entriesOf(tree)].map(
    ([key, entry]) => [key, { ...entry, value: change(key, entry.value) }] as const,
  );
  return { ...tree, entries: new Map(entries) };
}
