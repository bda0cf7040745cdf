import type { Finding } from '../text/finding.js';
import { KEY } from './include.js';
import { portalSchema } from '../schema/schema.js';
import { lineOf, type Place } from '../text/source.js';
import { listOf, nearest } from '../words/suggest.js';
import type { Entry, MapTree, Path, Tree } from '../text/tree.js';

/** What an included file may have, besides keys that begin with `x-`. */
const KEYS = ['version', 'services'];

export interface Merged {
  readonly tree: Tree;
  readonly findings: readonly Finding[];
}

/**
 * The configuration with the services of the included files. `main` is without its overlay, which may change any of them, and
 * needs no services of its own.
 */
export function mergeIncluded(main: Tree, included: readonly Tree[]): Merged {
  const own = main.kind === 'map' ? main.entries.get('services') : undefined;
  // Other checks report a configuration of the wrong shape.
  if (main.kind !== 'map' || (own && !hasServices(own.value))) return { tree: main, findings: [] };
  const findings: Finding[] = [];
  const services = new Map<string, Entry>(own?.value.kind === 'map' ? own.value.entries : []);
  for (const tree of included) {
    if (isEmpty(tree)) continue;
    if (tree.kind !== 'map') {
      findings.push(placed(start(tree.place), [], 'the file is not a mapping', 'Write `services:` in it.'));
      continue;
    }
    for (const [key, entry] of tree.entries) checkKey(key, entry, findings);
    const more = tree.entries.get('services')?.value;
    if (more?.kind === 'map') addServices(more, services, findings);
  }
  const include = main.entries.get(KEY);
  const value: MapTree = {
    ...(own?.value.kind === 'map' ? own.value : { kind: 'map', place: own?.value.place ?? main.place }),
    entries: services,
  };
  const keyPlace = own?.keyPlace ?? include?.keyPlace ?? start(main.place);
  return { tree: { ...main, entries: new Map(main.entries).set('services', { keyPlace, value }) }, findings };
}

function addServices(more: MapTree, services: Map<string, Entry>, findings: Finding[]): void {
  for (const [name, entry] of more.entries) {
    const first = services.get(name);
    if (!first) services.set(name, entry);
    else
      findings.push(
        placed(
          entry.keyPlace,
          ['services', name],
          `the service ${JSON.stringify(name)} is a duplicate of ${lineOf(first.keyPlace, entry.keyPlace.source)}`,
          'Rename one of the two. To change a service of another file, use portal.local.yaml.',
        ),
      );
  }
}

function checkKey(key: string, { keyPlace, value }: Entry, findings: Finding[]): void {
  if (key.startsWith('x-')) return;
  const report = (message: string, hint: string, place: Place = keyPlace): void =>
    void findings.push(placed(place, [key], message, hint));
  if (key === KEY)
    report('an included file cannot include others', 'Name every file in `include` of the main file.');
  else if (!KEYS.includes(key) && Object.hasOwn(portalSchema().properties ?? {}, key))
    report(
      `\`${key}\` belongs in the main file`,
      'An included file has `services`, and keys that begin with `x-`. Move it to the file with `include`.',
    );
  else if (!KEYS.includes(key)) {
    const meant = nearest(key, KEYS);
    report(
      `unknown key ${JSON.stringify(key)}`,
      meant ? `Did you mean \`${meant}\`?` : `Known in an included file: ${listOf(KEYS, 'and')}.`,
    );
  } else if (key === 'version' && !(value.kind === 'scalar' && value.value === 1))
    report('`version` must be 1', 'Write `version: 1`, or remove it.', value.place);
  else if (key === 'services' && !hasServices(value))
    report('`services` must be a mapping', 'For example `services: { web: 3000 }`.');
}

/** `services:` without a value has none. */
const hasServices = (tree: Tree): boolean => tree.kind === 'map' || isEmpty(tree);

const isEmpty = (tree: Tree): boolean => tree.kind === 'scalar' && tree.value === null;

/** The first character of a value. */
const start = (place: Place): Place => ({ ...place, end: Math.min(place.end, place.start + 1) });

function placed(place: Place, path: Path, message: string, hint: string): Finding {
  return { place, path, code: 'config_invalid', message, hint };
}
