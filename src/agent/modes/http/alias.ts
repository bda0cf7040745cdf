import { isUnder } from './routing/paths.js';
import type { Alias } from './routing/routes.js';

/**
 * Rewrites Origin and Referer of a page under the public name to the target's own origin, because targets compare them with
 * Host. Those of other pages stay, so a target still detects cross-site requests. Changes `headers` in place.
 */
export function underAlias(
  headers: string[],
  authority: string,
  prefix: string,
  { scheme, authority: own }: Alias,
): void {
  const from = publicOrigin(authority);
  const to = `${scheme}://${own}`;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    // Names of these lengths are rare, so this is cheap.
    if (name.length !== 6 && name.length !== 7) continue;
    const lower = name.toLowerCase();
    const value = headers[i + 1]!;
    if (lower === 'origin') {
      if (value.toLowerCase() === from) headers[i + 1] = to;
    } else if (lower === 'referer') {
      const path = value.slice(from.length);
      if (value.slice(0, from.length).toLowerCase() === from && /^(?:[/?#]|$)/.test(path))
        headers[i + 1] = to + withoutPrefix(path, prefix);
    }
  }
}

/** As browsers write it in `Origin`. */
export function publicOrigin(authority: string): string {
  return `https://${authority.replace(/:443$/, '')}`.toLowerCase();
}

function withoutPrefix(path: string, prefix: string): string {
  if (prefix === '' || !isUnder(path, prefix)) return path;
  const rest = path.slice(prefix.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}
