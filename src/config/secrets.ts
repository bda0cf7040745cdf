import { child, type Path, type Tree } from './tree.js';

/** What stands in place of a secret wherever one would be printed. */
export const MASK = '****';

const SECRET_KEY = /^(pin|(response[-_]?)?header)s?$/i;

/**
 * Whether a value must not be printed: PINs and header values. It goes by key rather than by exact path, so
 * that a PIN under the wrong parent, or misspelt below `access`, is not shown by the very error about it.
 */
export function isSecret(path: Path): boolean {
  return path.some((part, index) => {
    if (typeof part === 'number' || isFreeName(path, index)) return false;
    if (part === 'access') return path[index + 1] !== 'allowIps';
    return SECRET_KEY.test(part);
  });
}

/** Keys that a person makes up: a service may well be called `pin`. */
function isFreeName(path: Path, index: number): boolean {
  if (index === 1) return path[0] === 'services' || path[0] === 'chains';
  return path[index - 1] === 'routes' || path[index - 1] === 'metadata';
}

/**
 * A copy of a plain value with every secret in it masked.
 * @param tree what the value came from: it knows which scalars are secrets reused through an alias
 */
export function maskSecrets(value: unknown, tree?: Tree, path: Path = []): unknown {
  if (Array.isArray(value))
    return value.map((item, index) => maskSecrets(item, child(tree, index), [...path, index]));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [
        key,
        maskSecrets(inner, child(tree, key), [...path, key]),
      ]),
    );
  }
  const secret = isSecret(path) || (tree?.kind === 'scalar' && tree.secret);
  return secret && value !== null ? MASK : value;
}
