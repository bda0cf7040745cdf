import { withoutSession } from '../../access/cookies.js';
import { CONNECTION_HEADERS, FRAMING_HEADERS } from '../../../net/http/headers.js';
import type { Exchange, Headers } from './exchange/exchange.js';
import { underAlias } from './alias.js';
import { isForbiddenField } from './forbidden-fields.js';
import type { Route } from './routing/routes.js';

/** Builds the request that the target gets. */

/** Never allowed in trailers (RFC 9110, 6.5.1): fields for framing, routing or authentication. */
const NOT_IN_TRAILERS = new Set([
  'authorization',
  'cookie',
  'set-cookie',
  'content-type',
  'content-encoding',
  'content-range',
]);
/** Connection cannot remove these fields, because they are end-to-end. */
const END_TO_END =
  /^(accept|authorization|cache-control|cookie|content-|date|expect|forwarded|host|if-|origin|range|referer|sec-|set-cookie|user-agent|x-forwarded-)/;

const enum Field {
  Pass,
  Drop,
  Cookie,
  Connection,
  Te,
  Length,
  Trailer,
}

/** Caches the class of each field by its name as received, because few spellings occur. */
const FIELDS = new Map<string, Field>();
const MAX_REMEMBERED = 2_000;

function fieldOf(name: string): Field {
  const known = FIELDS.get(name);
  if (known !== undefined) return known;
  const field = classify(name.toLowerCase());
  if (FIELDS.size < MAX_REMEMBERED) FIELDS.set(name, field);
  return field;
}

function classify(name: string): Field {
  if (name === 'cookie') return Field.Cookie;
  if (name === 'connection') return Field.Connection;
  if (name === 'te') return Field.Te;
  if (name === 'content-length') return Field.Length;
  if (name === 'trailer') return Field.Trailer;
  if (name === 'host' || name === 'expect' || CONNECTION_HEADERS.has(name)) return Field.Drop;
  return isForbiddenField(name) ? Field.Drop : Field.Pass;
}

/** The request target to send: the visitor's bytes without the route's prefix. */
export function upstreamTarget(target: string, { stripped }: Route): string {
  if (stripped === '') return target;
  const rest = target.slice(stripped.length);
  return rest.charCodeAt(0) === 0x2f ? rest : `/${rest}`;
}

/**
 * The header fields to send, including Portal's own. Without `Expect` and fields that frame the body, which the sender adds.
 */
export function upstreamHeaders(exchange: Exchange, route: Route): string[] {
  const { headers, authority, client } = exchange;
  const { alias, requestEdits: edited } = route;
  const host = alias?.authority ?? authority;
  const scheme = alias?.scheme ?? 'https';
  const out: string[] = ['Host', host];
  let cookie: string | undefined;
  let named: string[] | undefined;
  let announced: string | undefined;
  let hasLength = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const field = fieldOf(name);
    if (field === Field.Drop || edited?.names.has(name.toLowerCase())) continue;
    const value = headers[i + 1]!;
    if (field === Field.Pass) out.push(name, value);
    else if (field === Field.Length) {
      hasLength = true;
      // Some servers read a leading zero as octal.
      out.push(name, value.charCodeAt(0) === 0x30 ? String(Number(value)) : value);
    } else if (field === Field.Trailer)
      announced = announced === undefined ? value : `${announced}, ${value}`;
    // HTTP/2 sends cookies separately, but they are one field (RFC 9113, 8.2.3).
    else if (field === Field.Cookie) cookie = cookie === undefined ? value : `${cookie}; ${value}`;
    else if (field === Field.Connection) (named ??= []).push(...namedBy(value));
    else if (/(^|[\s,])trailers([\s,;]|$)/i.test(value)) out.push('TE', 'trailers');
  }
  const theirs = cookie === undefined ? undefined : withoutSession(cookie);
  if (theirs !== undefined) out.push('Cookie', theirs);
  // Trailers cannot follow a body with a length or an absent body (RFC 9110, 6.5).
  if (announced !== undefined && exchange.body && !hasLength) out.push('Trailer', announced);
  if (alias) underAlias(out, authority, route.stripped, alias);
  const kept = named?.length ? without(out, new Set(named)) : out;
  if (route.isForwarded) {
    kept.push(
      'X-Forwarded-For',
      client.address,
      'X-Forwarded-Proto',
      scheme,
      'X-Forwarded-Host',
      host,
      'Forwarded',
      `for=${client.forwardedFor};host="${host}";proto=${scheme}`,
    );
    if (route.stripped !== '') kept.push('X-Forwarded-Prefix', route.stripped);
  }
  if (exchange.identity) kept.push(...exchange.identity);
  if (!edited) return kept;
  const ours = without(kept, edited.names);
  ours.push(...edited.add);
  return ours;
}

export function hasContentLength(headers: Headers): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length === 14 && headers[i]!.toLowerCase() === 'content-length') return true;
  }
  return false;
}

/** The trailers that the target gets. A route's header edits apply to them too. */
export function requestTrailers({ exchange, route }: Asked): Headers {
  const edited = route.requestEdits?.names;
  return trailersWhere(
    exchange.trailers(),
    (name) => fieldOf(name) === Field.Pass && !edited?.has(name.toLowerCase()),
  );
}

/** The trailers that the visitor gets. */
export function responseTrailers(trailers: Headers): Headers {
  return trailersWhere(trailers, (name) => {
    const lower = name.toLowerCase();
    return !CONNECTION_HEADERS.has(lower) && !FRAMING_HEADERS.has(lower);
  });
}

interface Asked {
  readonly exchange: Exchange;
  readonly route: Route;
}

function trailersWhere(trailers: Headers, passes: (name: string) => boolean): Headers {
  if (trailers.length === 0) return trailers;
  const out: string[] = [];
  for (let i = 0; i < trailers.length; i += 2) {
    const name = trailers[i]!;
    if (passes(name) && !NOT_IN_TRAILERS.has(name.toLowerCase())) out.push(name, trailers[i + 1]!);
  }
  return out;
}

/** The names in a Connection field that it may remove. */
export function namedBy(connection: string): string[] {
  // The common cases.
  if (connection === 'keep-alive' || connection === 'close' || connection === 'Upgrade') return [];
  return connection
    .toLowerCase()
    .split(',')
    .map((token) => token.trim())
    .filter((name) => name !== '' && !END_TO_END.test(name));
}

function without(headers: string[], names: ReadonlySet<string>): string[] {
  const out: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (!names.has(headers[i]!.toLowerCase())) out.push(headers[i]!, headers[i + 1]!);
  }
  return out;
}

/** gRPC requires HTTP/2 on the whole path, for its trailers. grpc-web is designed not to. */
const GRPC = /^application\/grpc(?:[+;]|$)/i;

export const isGrpc = (headers: readonly string[]): boolean => hasContentType(headers, GRPC);

export function hasContentType(headers: readonly string[], type: RegExp): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length === 12 && headers[i]!.toLowerCase() === 'content-type')
      return type.test(headers[i + 1]!);
  }
  return false;
}
