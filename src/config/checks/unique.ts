import { kindOf, type Mode } from '../../agent/spec.js';
import type { Report } from './check.js';
import { relayRefs } from './relay-refs.js';
import { lineOf, type Place } from '../text/source.js';
import { child, entriesOf, keyPlaceOf, placeOf, textOf, type Path, type Tree } from '../text/tree.js';

/** Rejects two services with the same name, public port or hostname on one relay. */
export function checkUnique(root: Tree, report: Report): void {
  const services = child(root, 'services');
  const pool = relayRefs(root, ['relays', 'urls']).flatMap(({ origin }) => origin ?? []);
  const claims = new Claims(root, report);
  for (const [key, { value }] of entriesOf(services)) {
    const path = ['services', key];
    const relays = relaysOf(root, key, value, pool);
    const explicit = child(value, 'name');
    const name = explicit ? textOf(explicit) : key;
    // A relay has separate tables for hostnames, TCP ports and UDP ports, so one name may appear once in each.
    const kind = kindOf((textOf(child(value, 'mode')) ?? 'auto') as Mode);
    if (name !== undefined)
      claims.claim('name', name, relays, key, explicit ? [...path, 'name'] : path, value, kind);
    const hostname = textOf(child(value, 'hostname'))?.toLowerCase();
    if (hostname !== undefined) claims.claim('hostname', hostname, relays, key, [...path, 'hostname'], value);
    const port = textOf(child(value, 'port'));
    if (port !== undefined) claims.claim('port', port, relays, key, [...path, 'port'], value, kind);
  }
}

/** The relays that publish a service. The pool counts as one relay, since it may be the embedded relay. */
function relaysOf(root: Tree, key: string, service: Tree, pool: readonly string[]): readonly string[] {
  const via = textOf(child(service, 'via'));
  if (via !== undefined) {
    // The first relay of the chain publishes it.
    const [entry] = relayRefs(root, ['chains', via]);
    return [entry?.origin ?? `chain ${via}`];
  }
  if (!child(service, 'relays')) return ['pool', ...pool];
  return relayRefs(root, ['services', key, 'relays']).flatMap(({ origin }) => origin ?? []);
}

interface Holder {
  readonly service: string;
  readonly place: Place | undefined;
}

class Claims {
  readonly #holders = new Map<string, Holder>();
  readonly #root: Tree;
  readonly #report: Report;

  constructor(root: Tree, report: Report) {
    this.#root = root;
    this.#report = report;
  }

  claim(
    what: string,
    value: string,
    relays: readonly string[],
    service: string,
    path: Path,
    tree: Tree,
    kind = '',
  ): void {
    const place =
      path.length === 2 ? keyPlaceOf(child(this.#root, 'services'), service) : placeOf(this.#root, path);
    const keys = relays.map((relay) => `${what} ${kind} ${value} ${relay}`);
    const holder = keys.map((key) => this.#holders.get(key)).find((found) => found !== undefined);
    if (holder) {
      const quoted = JSON.stringify(holder.service);
      this.#report(path, {
        // Does not repeat the value, because it may come from a variable.
        message: `the same ${what} as service ${quoted} (${where(holder.place, place)}), on the same relay`,
        hint: tree.kind === 'map' ? `Give one of them another \`${what}\`.` : 'Rename one of them.',
        place,
      });
    }
    for (const key of keys) if (!this.#holders.has(key)) this.#holders.set(key, { service, place });
  }
}

const where = (place: Place | undefined, beside: Place | undefined): string =>
  place && beside ? lineOf(place, beside.source) : 'line 1';
