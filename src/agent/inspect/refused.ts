import type { RejectionReason } from '../access/rejections.js';
import { withoutToken } from '../access/share/parameter.js';
import type { Headers } from '../modes/http/exchange.js';
import type { Page } from '../pages/page.js';
import { CapturedBody, type Recording } from './recording.js';

/** A request that a gate, or the HTTP parser, rejected before any handler saw it. */
export interface Refused {
  readonly asked: {
    readonly method: string;
    readonly target: string;
    readonly authority: string;
    readonly version: string;
  };
  /** The header fields of the request as they may be kept. */
  readonly headers: Headers;
  /** Address of the visitor. */
  readonly remote: string;
  readonly hostname: string;
  /** The gate that rejected it. Absent for a malformed request. */
  readonly gate?: RejectionReason;
  /** What the visitor got. */
  readonly page: Pick<Page, 'status' | 'reason' | 'code' | 'title'>;
}

/** No bodies: that of the request was not read, and that of the response is Portal's own page. */
export function refusedRecording(id: number, service: string, refused: Refused): Recording {
  const { asked, headers, remote, hostname, gate, page } = refused;
  return {
    id,
    service,
    startedAt: Date.now(),
    startedMs: performance.now(),
    method: asked.method,
    target: withoutToken(asked.target),
    authority: asked.authority,
    hostname,
    remote,
    version: asked.version,
    requestHeaders: headers,
    requestBody: new CapturedBody(),
    requestTrailers: [],
    upgrade: undefined,
    replayOf: undefined,
    outcome: 'done',
    status: page.status,
    reason: page.reason,
    responseHeaders: [],
    responseBody: new CapturedBody(),
    responseTrailers: [],
    portal: { code: page.code, title: page.title, ...(gate && { gate }) },
  };
}
