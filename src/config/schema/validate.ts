import { validate, type Schema, type SchemaError, type Verdict } from './schema.js';
import { toValue, treeAt, type Path, type Tree } from '../text/tree.js';

/**
 * Checks a tree against the schema. Casts text from variables to a number or boolean where the schema requires it.
 * Never casts a literal.
 */
export function validateTree(tree: Tree): Verdict {
  const value = toValue(tree);
  const verdict = validate(value);
  if (verdict.ok) return verdict;
  const cast = verdict.errors.filter((error) => castAt(value, tree, error));
  return cast.length > 0 ? validate(value) : verdict;
}

/** Casts the value of an error in place. Returns whether it could. */
function castAt(value: unknown, tree: Tree, { keyword, path, schema, data }: SchemaError): boolean {
  if (keyword !== 'type' || typeof data !== 'string') return false;
  const scalar = treeAt(tree, path);
  if (scalar?.kind !== 'scalar' || !scalar.interpolated) return false;
  const cast = castTo(schema.type, data.trim());
  if (cast !== undefined) setAt(value, path, cast);
  return cast !== undefined;
}

function castTo(type: Schema['type'], text: string): number | boolean | undefined {
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  if (type === 'integer' && /^-?(0|[1-9]\d*)$/.test(text)) return Number(text);
  return undefined;
}

function setAt(value: unknown, path: Path, to: unknown): void {
  const [part, ...rest] = path;
  if (part === undefined || !isContainer(value)) return;
  if (rest.length === 0) value[part] = to;
  else setAt(value[part], rest, to);
}

/** An object or a list. Both are indexed by key. */
function isContainer(value: unknown): value is Record<string | number, unknown> {
  return typeof value === 'object' && value !== null;
}
