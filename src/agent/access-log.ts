import { GATE_PATHS } from './access/kinds.js';
import { withoutToken } from './access/share/parameter.js';
import { fieldOf } from './inspect/recording.js';
import type { Exchange, RequestHead } from './modes/http/exchange/exchange.js';
import { pathOf } from './modes/http/routing/paths.js';

/** One request of a visitor and its response, as `portal logs --access` shows it. */
export interface AccessEntry {
  readonly event: 'access';
  /** ISO time at which the response ended. */
  readonly time: string;
  readonly service: string;
  /** The visitor's IP address. */
  readonly remote: string;
  readonly method: string;
  /** Path and query as received, without secrets: the token of a share link, and the query on the paths of gates. */
  readonly target: string;
  /** The HTTP version: `1.1`, `2.0`. */
  readonly version: string;
  readonly authority: string;
  /** 499 if the visitor disconnected before the response. */
  readonly status: number;
  /** Bytes of the response's body. After a switch to another protocol: 0. */
  readonly responseBytes: number;
  /** Until the response ended, or until the protocol was switched. */
  readonly totalMs: number;
  /** The response is incomplete. */
  readonly cut?: true;
  readonly referer?: string;
  readonly userAgent?: string;
}

/** Where handlers report requests that have ended. */
export interface AccessLog {
  add(entry: AccessEntry): void;
}

/** What is known of the request. */
export type Asked = RequestHead & Pick<Exchange, 'client'>;

/** What is known of the response. */
export interface Ended {
  readonly status: number;
  readonly bytes: number;
  readonly durationMs: number;
  readonly isCut?: boolean;
}

/** As nginx has it: the visitor closed the connection before the response. */
export const VISITOR_GONE = 499;

export function accessEntry(
  service: string,
  remote: string,
  { method, target, authority, headers, version }: RequestHead,
  { status, bytes, durationMs, isCut = false }: Ended,
): AccessEntry {
  const path = pathOf(target);
  const [referer, userAgent] = [fieldOf(headers, 'referer'), fieldOf(headers, 'user-agent')];
  return {
    event: 'access',
    time: new Date().toISOString(),
    service,
    remote,
    method,
    target: GATE_PATHS.has(path) ? path : withoutToken(target),
    version,
    authority,
    status,
    responseBytes: bytes,
    totalMs: Math.round(durationMs * 10) / 10,
    ...(isCut && { cut: true }),
    ...(referer !== undefined && { referer: withoutToken(referer) }),
    ...(userAgent !== undefined && { userAgent }),
  };
}
