import type { Finding } from './finding.js';
import { interpolate, type Lookup } from './interpolate.js';
import { isSecret } from './secrets.js';
import { sourceText, type Place } from './source.js';
import type { Entry, Path, ScalarTree, Tree } from './tree.js';

export interface Substituted {
  readonly tree: Tree;
  readonly findings: readonly Finding[];
  /** Worth saying, but not wrong. */
  readonly warnings: readonly Finding[];
}

/** Interpolates every text of a tree, keys excepted: on values that are parsed already, so none can inject YAML. */
export function substitute(root: Tree, lookup: Lookup): Substituted {
  const findings: Finding[] = [];
  const warnings: Finding[] = [];
  const done = new Map<Tree, Tree>();

  const visit = (tree: Tree, path: Path): Tree => {
    const ready = done.get(tree);
    if (ready) return ready;
    const result = convert(tree, path);
    done.set(tree, result);
    return result;
  };

  const convert = (tree: Tree, path: Path): Tree => {
    if (tree.kind === 'list') {
      return { ...tree, items: tree.items.map((item, index) => visit(item, [...path, index])) };
    }
    if (tree.kind === 'map') {
      const entries = new Map<string, Entry>();
      for (const [key, entry] of tree.entries) {
        entries.set(key, { keyPlace: entry.keyPlace, value: visit(entry.value, [...path, key]) });
      }
      return { ...tree, entries };
    }
    return typeof tree.value === 'string' ? scalar(tree, tree.value, path) : tree;
  };

  const scalar = (tree: ScalarTree, value: string, path: Path): Tree => {
    const result = interpolate(value, lookup);
    for (const { expression, message, hint } of result.errors) {
      findings.push({
        place: placeWithin(tree.place, expression),
        path,
        code: 'config_invalid',
        message,
        hint,
      });
    }
    for (const name of result.bareNames) warnings.push(bareName(tree.place, path, name));
    return { ...tree, value: result.text, interpolated: result.substituted };
  };

  return { tree: visit(root, []), findings, warnings };
}

function bareName(scalar: Place, path: Path, name: string): Finding {
  const shown = isSecret(path) ? 'NAME' : name;
  return {
    place: placeWithin(scalar, `$${name}`),
    path,
    code: 'config_invalid',
    message: `$${shown} is taken as it is, not as a variable`,
    hint: `Write \${${shown}} for the variable, or $$${shown} to say that the text is meant.`,
  };
}

/** Where an expression stands in its scalar: exact unless escapes hide it; then the scalar as a whole. */
function placeWithin(scalar: Place, expression: string): Place {
  const at = sourceText(scalar).indexOf(expression);
  if (at === -1) return scalar;
  const start = scalar.start + at;
  return { source: scalar.source, start, end: start + expression.length };
}
