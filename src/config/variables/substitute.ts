import type { Dotenv } from './dotenv.js';
import type { Finding } from '../text/finding.js';
import { interpolate, type Lookup } from './interpolate.js';
import { isSecret } from './secrets.js';
import { sourceText, type Place, type Source } from '../text/source.js';
import type { Entry, Path, ScalarTree, Tree } from '../text/tree.js';

/** Per text, since each expression is searched in it. */
const MAX_REPORTED = 20;

export interface Substituted {
  readonly tree: Tree;
  readonly findings: readonly Finding[];
  /** Findings that are not errors. */
  readonly warnings: readonly Finding[];
}

/**
 * Interpolates every text of a tree except keys and commands; none without `lookup`. The values are already parsed, so
 * none can inject YAML. Marks scalars at the places of `secrets`, including copies through aliases.
 */
export function substitute(
  root: Tree,
  lookup: Lookup | undefined,
  secrets: readonly Place[],
  references: Dotenv['references'] = new Map(),
): Substituted {
  const secretStarts = new Map<Source, Set<number>>();
  for (const { source, start } of secrets) {
    secretStarts.set(source, (secretStarts.get(source) ?? new Set()).add(start));
  }
  const findings: Finding[] = [];
  const warnings: Finding[] = [];
  const done = new Map<Tree, Tree>();

  const visit = (tree: Tree, path: Path): Tree => {
    if (isForShell(path)) return tree;
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
    const secret = secretStarts.get(tree.place.source)?.has(tree.place.start) ?? false;
    const marked = secret ? { ...tree, secret } : tree;
    return typeof tree.value === 'string' ? scalar(marked, tree.value, path) : marked;
  };

  const scalar = (tree: ScalarTree, value: string, path: Path): Tree => {
    if (!lookup) return tree;
    const result = interpolate(value, lookup);
    for (const { expression, message, hint, variable } of result.errors.slice(0, MAX_REPORTED)) {
      findings.push({
        place: placeWithin(tree.place, expression),
        path,
        code: 'config_invalid',
        message,
        hint,
        ...(variable !== undefined && { variable }),
      });
    }
    for (const name of result.bareNames.slice(0, MAX_REPORTED)) warnings.push(bareName(tree, path, name));
    const variables = [...new Set(result.names.flatMap((name) => [name, ...(references.get(name) ?? [])]))];
    return {
      ...tree,
      value: result.text,
      interpolated: result.substituted,
      ...(variables.length > 0 && { variables }),
    };
  };

  return { tree: visit(root, []), findings, warnings };
}

/**
 * The text of a command: the shell replaces its variables. So a permission to run it never contains their values, and
 * `$PORT` needs no escape.
 */
const isForShell = (path: Path): boolean =>
  path[0] === 'services' &&
  path.at(-1) === 'command' &&
  (path.length === 3 || (path.length === 5 && path[2] === 'routes'));

function bareName({ place, secret }: ScalarTree, path: Path, name: string): Finding {
  const shown = secret || isSecret(path) ? 'NAME' : name;
  return {
    place: placeWithin(place, `$${name}`),
    path,
    code: 'config_invalid',
    message: `$${shown} stays as it is: a variable needs braces`,
    hint: `Write \${${shown}} for the variable, or $$${shown} for the text itself.`,
  };
}

/** The place of an expression within its scalar, or the whole scalar if escapes hide the position. */
function placeWithin(scalar: Place, expression: string): Place {
  const at = sourceText(scalar).indexOf(expression);
  if (at === -1) return scalar;
  const start = scalar.start + at;
  return { source: scalar.source, start, end: start + expression.length };
}
