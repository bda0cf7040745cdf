import { checkRelays } from './check-relays.js';
import { checkServices } from './check-services.js';
import { finding, type Complaint, type Finding } from './finding.js';
import { child, textOf, type Path, type Tree } from './tree.js';

/** Takes a complaint about the value at a path. */
export type Report = (path: Path, complaint: Complaint) => void;

/**
 * What no schema can say. The rules read the tree and pass over what has the wrong shape, so that they run on
 * a document with other mistakes too, and everything is reported at once.
 */
export function check(root: Tree): Finding[] {
  const findings: Finding[] = [];
  const report: Report = (path, complaint) => findings.push(finding(root, path, complaint));
  checkIdentity(root, report);
  checkAcme(root, report);
  checkRelays(root, report);
  checkServices(root, report);
  return findings;
}

function checkAcme(root: Tree, report: Report): void {
  const directory = textOf(child(child(root, 'acme'), 'directory'));
  if (directory === undefined || !directory.startsWith('https:') || URL.canParse(directory)) return;
  report(['acme', 'directory'], { message: `${JSON.stringify(directory)} is not a valid URL` });
}

function checkIdentity(root: Tree, report: Report): void {
  if (textOf(child(root, 'identity'))?.startsWith('~')) {
    report(['identity'], {
      message: '`~` does not stand for your home directory here',
      hint: 'Write ${HOME} in its place, or a path relative to this file.',
    });
  }
}
