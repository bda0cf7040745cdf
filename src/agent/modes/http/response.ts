import { CONNECTION_HEADERS } from '../../../net/http-headers.js';
import type { Exchange, Follows, Headers } from './exchange.js';
import { UpstreamError } from './dial.js';
import { isUnder } from './paths.js';
import { hasContentLength, namedBy } from './request.js';
import { isTargetsDomain, type Route, type RouteTable } from './routes.js';

/** What is sent to the visitor of a target's answer. */

type Rewrite = (value: string, context: Context) => string;

interface Context {
  readonly exchange: Exchange;
  readonly route: Route;
  readonly table: RouteTable;
}

const DROP = 'drop';
const FIELDS = new Map<string, Rewrite | typeof DROP | undefined>();
const MAX_REMEMBERED = 2_000;

function fieldOf(name: string): Rewrite | typeof DROP | undefined {
  if (FIELDS.has(name)) return FIELDS.get(name);
  const field = classify(name.toLowerCase());
  if (FIELDS.size < MAX_REMEMBERED) FIELDS.set(name, field);
  return field;
}

function classify(name: string): Rewrite | typeof DROP | undefined {
  if (name === 'trailer') return undefined;
  // Of the connection to the target alone; so is what it says of other protocols and ports on its machine.
  if (CONNECTION_HEADERS.has(name) || name === 'alt-svc') return DROP;
  if (name === 'location' || name === 'content-location') return publicUrl;
  if (name === 'refresh') return refresh;
  if (name === 'set-cookie') return publicCookie;
  return undefined;
}

/** The one `Transfer-Encoding` whose body is taken apart here; with any other it would reach the visitor still coded. */
const CHUNKED = /^\s*chunked\s*$/i;

/** The body of such an answer lasts until the connection closes (RFC 9112, 6.3). */
export function lastsUntilClose(method: string, status: number, headers: Headers): boolean {
  if (method === 'HEAD' || status === 204 || status === 304) return false;
  for (let i = 0; i < headers.length; i += 2) {
    const { length } = headers[i]!;
    if ((length === 14 || length === 17) && FRAMING.has(headers[i]!.toLowerCase())) return false;
  }
  return true;
}

const FRAMING = new Set(['content-length', 'transfer-encoding']);

/** What comes after such a head over HTTP/1.1, where only a body in chunks can have trailers (RFC 9112, 7.1.2). */
export function followingH1(headers: Headers): Follows {
  return hasContentLength(headers) ? 'body' : 'trailers';
}

/** The header fields for the visitor: hop-by-hop ones left out, URLs and cookies of the target made public ones. */
export function visitorHeaders(
  headers: Headers,
  exchange: Exchange,
  route: Route,
  table: RouteTable,
): string[] {
  const edited = route.responseEdits;
  const out: string[] = [];
  let named: string[] | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const value = headers[i + 1]!;
    const field = fieldOf(name);
    if (field === DROP) {
      if (name.length === 10 && name.toLowerCase() === 'connection') (named ??= []).push(...namedBy(value));
      else if (name.length === 17 && !CHUNKED.test(value))
        throw new UpstreamError('an unknown transfer coding');
    } else if (!edited?.names.has(name.toLowerCase())) {
      out.push(name, field ? field(value, { exchange, route, table }) : value);
    }
  }
  const kept = named?.length ? out.filter((_, i) => !named.includes(out[i - (i % 2)]!.toLowerCase())) : out;
  if (edited) kept.push(...edited.add);
  return kept;
}

const ABSOLUTE = /^(https?):\/\/([^/?#\\@]*)(.*)$/is;
const SCHEMELESS = /^\/\/([^/?#\\@]*)(.*)$/s;

/**
 * A URL of the target as the visitor must ask for it: under the public origin, and under the route. Other origins,
 * and what is relative to the page, mean the same to the visitor.
 */
function publicUrl(value: string, { exchange, route, table }: Context): string {
  const [, scheme = '', authority = '', rest = ''] =
    ABSOLUTE.exec(value) ??
    (value.startsWith('//') ? ['', 'http', ...(SCHEMELESS.exec(value)?.slice(1) ?? [])] : []);
  if (authority === '') {
    const isPath = value.startsWith('/') && !/^\/[/\\]/.test(value);
    return isPath ? underPrefix(value, route.stripped) : value;
  }
  const origin = `https://${exchange.authority}`;
  if (authority.toLowerCase() === exchange.authority.toLowerCase()) {
    // It made the URL of the Host it was sent, not knowing of the TLS in front of it, nor of the prefix.
    return origin + underPrefix(rest, route.stripped);
  }
  const prefix = table.prefixOf(scheme.toLowerCase(), authority, route);
  return prefix === undefined ? value : origin + underPrefix(rest, prefix);
}

/** A target that knows its prefix (it is told in X-Forwarded-Prefix) has put it there already. */
function underPrefix(path: string, prefix: string): string {
  if (prefix === '' || isUnder(path, prefix)) return path;
  return prefix + (path === '' || path.startsWith('/') ? path : `/${path}`);
}

function refresh(value: string, context: Context): string {
  return value.replace(
    /^(\s*[\d.]+\s*[;,]\s*(?:url\s*=\s*)?)(["']?)([^"']*)\2/i,
    (_, before: string, quote: string, url: string) => before + quote + publicUrl(url, context) + quote,
  );
}

/** `Domain` of the target itself would keep the cookie from the public host, and its `Path` from the route. */
function publicCookie(value: string, { route }: Context): string {
  const [pair = '', ...attributes] = value.split(';');
  // Such a name binds the cookie to the path `/` (RFC 6265bis, 4.1.3); browsers drop it with any other.
  const isHostBound = /^\s*__host-/i.test(pair);
  const kept = [pair];
  for (const attribute of attributes) {
    const [, name = '', text = ''] = /^\s*([^=\s]+)\s*=?\s*(.*?)\s*$/s.exec(attribute) ?? [];
    if (/^domain$/i.test(name) && isTargetsDomain(text, route)) continue;
    const remap = /^path$/i.test(name) && route.stripped !== '' && !isHostBound && text.startsWith('/');
    kept.push(
      remap ? ` ${name}=${text === '/' ? route.stripped : underPrefix(text, route.stripped)}` : attribute,
    );
  }
  return kept.join(';');
}
