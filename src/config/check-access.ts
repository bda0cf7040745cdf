import { rangeProblem } from '../net/cidr.js';
import type { Report } from './check.js';
import { shown } from './explain.js';
import { child, itemsOf, textOf, treeAt, type Path, type Tree } from './tree.js';

/** Checks the gates of one service. */
export function checkAccess(root: Tree, path: Path, report: Report): void {
  const allowIps = child(treeAt(root, path), 'allowIps');
  for (const [index, item] of itemsOf(allowIps).entries()) {
    const text = textOf(item);
    const problem = text === undefined ? undefined : rangeProblem(text);
    if (problem === undefined) continue;
    const at = [...path, 'allowIps', index];
    report(at, {
      message: `${shown(root, at)} ${problem}`,
      hint: 'For example 85.99.254.169, 10.0.0.0/8 or "2001:db8::/32".',
    });
  }
}
