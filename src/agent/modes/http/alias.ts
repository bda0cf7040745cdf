import { isUnder } from './paths.js';
import type { Alias } from './routes.js';

/**
 * Has Origin and Referer of a page under the public name say the target's own origin, as Host does: targets compare
 * them. Those of other pages stay as they are, so a target still knows a request from another site. `headers` are
 * changed in place.
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
    // Both names have a length that is rare enough.
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
