import { checkRelays } from './relays.js';
import { checkSent } from './sent.js';
import { checkServices } from './services.js';
import { mistypedAddress } from './access.js';
import { isAddress, isMistyped } from '../../lib/eip55.js';
import { finding, HOME_NOT_EXPANDED, type Complaint, type Finding } from '../text/finding.js';
import { child, entriesOf, itemsOf, placeOf, textOf, type Path, type Tree } from '../text/tree.js';

/** Reports a complaint about the value at a path. */
export type Report = (path: Path, complaint: Complaint) => void;

/**
 * Rules that a schema cannot express. They read the tree and skip values of the wrong type, so they also run on a
 * document with other mistakes and report everything together.
 */
export function check(root: Tree): Finding[] {
  const findings: Finding[] = [];
  const report: Report = (path, complaint) => findings.push(finding(root, path, complaint));
  checkIdentity(root, report);
  checkTeam(root, report);
  checkAcme(root, report);
  checkRelays(root, report);
  checkServices(root, report);
  checkSent(root, report);
  checkQuotes(root, [], report);
  return findings;
}

function checkTeam(root: Tree, report: Report): void {
  const lines = new Map<string, number>();
  for (const [index, item] of itemsOf(child(root, 'team')).entries()) {
    const text = textOf(item);
    if (text === undefined || !isAddress(text)) continue;
    const path = ['team', index];
    if (isMistyped(text)) report(path, mistypedAddress(root, path));
    const first = lines.get(text.toLowerCase());
    const place = placeOf(root, path);
    if (first !== undefined) report(path, { message: `this identity is already on line ${first}` });
    else lines.set(text.toLowerCase(), place.source.position(place.start).line);
  }
}

/** Word processors and chats write “quotes” that YAML takes as part of the value. */
function checkQuotes(tree: Tree, path: Path, report: Report): void {
  for (const [key, { value }] of entriesOf(tree)) checkQuotes(value, [...path, key], report);
  for (const [index, item] of itemsOf(tree).entries()) checkQuotes(item, [...path, index], report);
  if (tree.kind !== 'scalar' || tree.interpolated || !/^[“”„‘’].*[“”‘’]$/s.test(textOf(tree) ?? '')) return;
  report(path, { message: 'curly quotes are part of the value', hint: 'Write straight quotes: " or \'.' });
}

function checkAcme(root: Tree, report: Report): void {
  const directory = textOf(child(child(root, 'acme'), 'directory'));
  if (directory === undefined || !directory.startsWith('https:') || URL.canParse(directory)) return;
  report(['acme', 'directory'], { message: `${JSON.stringify(directory)} is not a valid URL` });
}

function checkIdentity(root: Tree, report: Report): void {
  if (textOf(child(root, 'identity'))?.startsWith('~')) {
    report(['identity'], HOME_NOT_EXPANDED);
  }
}
