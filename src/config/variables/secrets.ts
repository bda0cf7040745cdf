import { child, type Path, type Tree } from '../text/tree.js';

/** Printed instead of a secret. */
export const MASK = '****';

const SECRET_KEY = /^(env|environment|pin|basic|.*secret|webhook|(response[-_]?)?header)s?$/i;

/** Settings of gates that are not secret, below `access`. */
const OPEN = [
  'allowIps',
  'identities',
  'rateLimit',
  'sharing',
  'webhook.provider',
  'webhook.header',
  'webhook.algorithm',
  'oidc.issuer',
  'oidc.clientId',
  'oidc.allow',
];

/**
 * Whether a value must not be printed: PINs, secrets, header values and environment variables. Checks the key instead of the full path, so that an
 * error about a misplaced PIN, or a misspelt key below `access`, does not show it.
 */
export function isSecret(path: Path): boolean {
  const isKey = (part: Path[number], index: number): part is string =>
    typeof part === 'string' && !isFreeName(path, index);
  const access = path.findIndex((part, index) => part === 'access' && isKey(part, index));
  const outside = access === -1 ? path : path.slice(0, access);
  if (outside.some((part, index) => isKey(part, index) && SECRET_KEY.test(part))) return true;
  return access !== -1 && !OPEN.some((key) => isWithin(path.slice(access + 1), key.split('.')));
}

/** Whether `path` starts with `keys`. */
function isWithin(path: Path, keys: readonly string[]): boolean {
  return keys.every((key, i) => path[i] === key);
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
