import { finding, type Finding } from '../text/finding.js';
import { child, entriesOf, itemsOf, treeAt, type Tree } from '../text/tree.js';

/** The limit for one file. A relay allows fewer for one identity. */
const MAX_LEASES = 20_000;

/** Services times relays: a short file can ask for millions of leases. Runs before any other check of each lease. */
export function tooManyLeases(root: Tree): Finding[] {
  const pool = itemsOf(treeAt(root, ['relays', 'urls'])).length;
  let [services, leases] = [0, 0];
  for (const [, { value }] of entriesOf(child(root, 'services'))) {
    services += 1;
    const own = child(value, 'relays');
    leases += own ? itemsOf(own).length : child(value, 'via') ? 1 : pool;
  }
  if (leases <= MAX_LEASES) return [];
  const message = `${services} services need ${leases} leases on the relays of the file; the maximum is ${MAX_LEASES}`;
  return [finding(root, ['services'], { message, hint: 'Name fewer relays, or split the file.' })];
}
