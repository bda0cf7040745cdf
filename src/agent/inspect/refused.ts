import type { RejectionReason } from '../access/rejections.js';
import type { Headers, RequestHead, RequestOrigin } from '../modes/http/exchange/exchange.js';
import type { Page } from '../pages/page.js';
import { beginRecording, type Recording } from './recording.js';

/** A request that a gate, or the HTTP parser, rejected before any handler saw it. */
export interface Refused extends RequestOrigin {
  readonly asked: Omit<RequestHead, 'headers'>;
  /** The header fields of the request as they may be kept. */
  readonly headers: Headers;
  /** The gate that rejected it. Absent for a malformed request. */
  readonly gate?: RejectionReason;
  /** What the visitor got. */
  readonly page: Pick<Page, 'status' | 'reason' | 'code' | 'title'>;
}

/** No bodies: that of the request was not read, and that of the response is Portal's own page. */
export function refusedRecording(id: number, service: string, refused: Refused): Recording {
  const { asked, headers, remote, hostname, gate, page } = refused;
  const { method, target, authority, version } = asked;
  const recording = beginRecording(id, service, {
    method,
    target,
    authority,
    version,
    hostname,
    remote,
    requestHeaders: headers,
    upgrade: undefined,
    replayOf: undefined,
  });
  return {
    ...recording,
    outcome: 'done',
    status: page.status,
    reason: page.reason,
    portal: { code: page.code, title: page.title, ...(gate && { gate }) },
  };
}
