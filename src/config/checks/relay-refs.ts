import { child, entriesOf, itemsOf, textOf, type Path, type Tree } from '../text/tree.js';

/** One mention of a relay in the file. */
export interface RelayRef {
  readonly path: Path;
  readonly urlPath: Path;
  readonly caPath: Path;
  /** Comparable form of its URL; undefined for an invalid URL. */
  readonly origin: string | undefined;
  readonly ca: string | undefined;
}

/** The relays of one list. */
export function relayRefs(root: Tree | undefined, path: Path): RelayRef[] {
  const list = path.reduce<Tree | undefined>((tree, part) => child(tree, part), root);
  return itemsOf(list).map((item, index) => {
    const at = [...path, index];
    const urlTree = item.kind === 'map' ? child(item, 'url') : item;
    return {
      path: at,
      urlPath: item.kind === 'map' ? [...at, 'url'] : at,
      caPath: [...at, 'ca'],
      origin: originOf(textOf(urlTree)),
      ca: textOf(child(item, 'ca')),
    };
  });
}

/** Every relay list in the file: of the pool, of each chain and of each service. */
export function relayLists(root: Tree): RelayRef[][] {
  const lists = [relayRefs(root, ['relays', 'urls'])];
  for (const [name] of entriesOf(child(root, 'chains'))) lists.push(relayRefs(root, ['chains', name]));
  for (const [key, { value }] of entriesOf(child(root, 'services'))) {
    if (child(value, 'relays')) lists.push(relayRefs(root, ['services', key, 'relays']));
  }
  return lists;
}

/** Scheme, host and port, normalised so that two spellings of one relay are equal. */
export function originOf(url: string | undefined): string | undefined {
  return url !== undefined && URL.canParse(url) ? new URL(url).origin : undefined;
}
