import { finding, type Complaint, type Finding } from './finding.js';
import { child, entriesOf, textOf, type Path, type Tree } from './tree.js';

interface Row {
  /** Keys from the root; `*` stands for any. */
  readonly path: readonly string[];
  /** Only these values; left out, the key itself is not supported. */
  readonly when?: (text: string | undefined) => boolean;
  readonly what: string;
  /** What this version does instead. */
  readonly instead: string;
}

const SERVICE = ['services', '*'];

/** What the format holds and this version does not do yet. Whoever builds one of them deletes its row. */
export const UNSUPPORTED: readonly Row[] = [
  {
    path: [...SERVICE, 'health'],
    what: 'health',
    instead: 'a target counts as well while it takes connections',
  },
];

/** One finding for each use of what is not supported yet. */
export function findUnsupported(root: Tree): Finding[] {
  const findings: Finding[] = [];
  const walk = (tree: Tree, path: Path, rows: readonly Row[]): void => {
    for (const row of rows) {
      if (row.path.length === path.length && (row.when?.(textOf(tree)) ?? true)) {
        findings.push(finding(root, path, complaint(row)));
      }
    }
    const deeper = rows.filter((row) => row.path.length > path.length);
    for (const key of new Set(deeper.map((row) => row.path[path.length]!))) {
      const below = deeper.filter((row) => row.path[path.length] === key);
      if (key !== '*') {
        const next = child(tree, key);
        if (next) walk(next, [...path, key], below);
      } else {
        for (const [name, { value }] of entriesOf(tree)) walk(value, [...path, name], below);
      }
    }
  };
  walk(root, [], UNSUPPORTED);
  return findings;
}

function complaint({ what, instead }: Row): Complaint {
  return {
    code: 'not_supported',
    message: `${what} is not supported yet; ${instead}`,
    hint: 'Remove it, or update Portal once it is there.',
  };
}
