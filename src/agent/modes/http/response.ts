import { CONNECTION_HEADERS } from '../../../net/http/headers.js';
import type { Exchange, Follows, Headers } from './exchange/exchange.js';
import { UpstreamError } from './targets/dial.js';
import { isUnder } from './routing/paths.js';
import { hasContentLength, namedBy } from './request.js';
import { isTargetsDomain, type Route, type RouteTable } from './routing/routes.js';

/** Builds the response that the visitor gets. */

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
  // These apply only to the connection to the target. Alt-Svc names other protocols and ports of the target's machine.
  if (CONNECTION_HEADERS.has(name) || name === 'alt-svc') return DROP;
  if (name === 'location' || name === 'content-location') return publicUrl;
  if (name === 'refresh') return refresh;
  if (name === 'set-cookie') return publicCookie;
  return undefined;
}

/** The only `Transfer-Encoding` that is decoded here. The visitor would get any other still encoded. */
const CHUNKED = /^\s*chunked\s*$/i;

/** Whether the body of a response lasts until the connection closes (RFC 9112, 6.3). */
export function lastsUntilClose(method: string, status: number, headers: Headers): boolean {
  if (method === 'HEAD' || status === 204 || status === 304) return false;
  for (let i = 0; i < headers.length; i += 2) {
    const { length } = headers[i]!;
    if ((length === 14 || length === 17) && FRAMING.has(headers[i]!.toLowerCase())) return false;
  }
  return true;
}

const FRAMING = new Set(['content-length', 'transfer-encoding']);

/** What follows a head over HTTP/1.1, where only a chunked body can have trailers (RFC 9112, 7.1.2). */
export function followingH1(headers: Headers): Follows {
  return hasContentLength(headers) ? 'body' : 'trailers';
}

/**
 * The header fields for the visitor, without hop-by-hop fields, and with URLs and cookies of the target rewritten for the
 * public host.
 */
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
 * Rewrites a URL of the target to the public origin and the route. Other origins and relative URLs are valid for the visitor
 * as they are.
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
    // The target built the URL from its Host header, without knowing of TLS in front of it or of the prefix.
    return origin + underPrefix(rest, route.stripped);
  }
  const prefix = table.prefixOf(scheme.toLowerCase(), authority, route);
  return prefix === undefined ? value : origin + underPrefix(rest, prefix);
}

/** A target that knows its prefix (from X-Forwarded-Prefix) has already added it. */
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

/** A `Domain` of the target would hide the cookie from the public host, and its `Path` from the route. */
function publicCookie(value: string, { route }: Context): string {
  const [pair = '', ...attributes] = value.split(';');
  // Such a name requires the path `/` (RFC 6265bis, 4.1.3). Browsers drop the cookie with any other path.
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
