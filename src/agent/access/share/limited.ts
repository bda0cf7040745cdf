import { ExchangeAround } from '../../modes/http/exchange/exchange-around.js';
import { isHost, type Exchange } from '../../modes/http/exchange/exchange.js';
import { isWellFormed } from '../../modes/http/routing/paths.js';
import { isWithin } from './path.js';

/**
 * What a request may contain besides its own path that leads a target to another one. Every visitor is without `X-Original-URL`,
 * `X-Forwarded-Prefix` and others (`forbidden-fields.ts`). These are of use where no link limits the path.
 */
const DROPPED: ReadonlySet<string> = new Set([
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-override-url',
  'x-requested-url',
  'x-http-destinationurl',
  'x-http-path-override',
  'x-original-path',
  'x-proxy-url',
  'x-uri',
  'x-path',
  'request-uri',
  // Next.js.
  'x-invoke-path',
  'x-matched-path',
  'x-middleware-rewrite',
  'x-middleware-subrequest',
  'x-now-route-matches',
  // The source of a copy, in the interfaces of object stores.
  'x-amz-copy-source',
  'x-copy-from',
  'x-goog-copy-source',
  'x-ms-copy-source',
  // Announces trailers, which are dropped.
  'trailer',
]);

const ABSOLUTE = /^https:\/\/([^/?#]*)(\/.*)$/i;

/** Whether the request stays within the path of a link: its target, and the target of a WebDAV copy or move. */
export function staysWithin({ target, headers, authority, client }: Exchange, path: string): boolean {
  if (!isWithin(target, path)) return false;
  if (path === '/') return true;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length !== 11 || headers[i]!.toLowerCase() !== 'destination') continue;
    // An absolute URI, or a path (RFC 4918, section 10.3).
    const value = headers[i + 1]!;
    const [, host = authority, to = value] = ABSOLUTE.exec(value) ?? [];
    if (!isHost(host, client.hostname) || !isWellFormed(to) || !isWithin(to, path)) return false;
  }
  return true;
}

/** The exchange without fields that replace the path of the request at some targets, in its head or in its trailers. */
export function limited(exchange: Exchange): Exchange {
  const { headers, body, expectsContinue } = exchange;
  const kept = headers.filter((_, i) => !DROPPED.has(headers[i - (i % 2)]!.toLowerCase()));
  return new LimitedExchange(exchange, { body, expectsContinue, headers: kept });
}

/** Without trailers: they arrive after the head was judged, and some targets read them as fields of the head. */
class LimitedExchange extends ExchangeAround {
  override trailers(): [] {
    return [];
  }
}
