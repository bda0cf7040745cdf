import { child, type Path, type Tree } from './tree.js';

/** Printed instead of a secret. */
export const MASK = '****';

const SECRET_KEY = /^(pin|(response[-_]?)?header)s?$/i;

/**
 * Whether a value must not be printed: PINs and header values. Checks the key instead of the full path, so that an
 * error about a misplaced PIN, or a misspelt key below `access`, does not show it.
 */
export function isSecret(path: Path): boolean {
  return path.some((part, index) => {
    if (typeof part === 'number' || isFreeName(path, index)) return false;
    if (part === 'access') return path[index + 1] !== 'allowIps';
    return SECRET_KEY.test(part);
  });
}

/** Keys that the user chooses: a service may be named `pin`. */
function isFreeName(path: Path, index: number): boolean {
  if (index === 1) return path[0] === 'services' || path[0] === 'chains';
  return path[index - 1] === 'routes' || path[index - 1] === 'metadata';
}

/**
 * A copy of a plain value with every secret masked.
 *
 * @param tree the value's tree, which knows the secrets that aliases reuse
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
