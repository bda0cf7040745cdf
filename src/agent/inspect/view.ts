import { fields } from './mask.js';
import { fieldOf, type CapturedBody, type Recording } from './recording.js';
import type { Headers } from '../modes/http/exchange/exchange.js';
import type { BodyInfo, MessageInfo, RequestDetails, RequestRow } from './wire.js';

/** Converts recordings for the page. A recording leaves the process only through this conversion. */

const NO_NAMES: ReadonlySet<string> = new Set();

export function rowOf(recording: Recording): RequestRow {
  const { id, service, startedAt, method, target, authority, remote, outcome, status } = recording;
  const { replayOf, deliveryOf } = recording;
  const type = fieldOf(recording.responseHeaders, 'content-type');
  return {
    id,
    service,
    startedAt,
    method,
    target,
    authority,
    remote,
    outcome,
    ...(status !== undefined && { status }),
    ...(recording.firstByteMs !== undefined && { firstByteMs: rounded(recording.firstByteMs) }),
    ...(recording.totalMs !== undefined && { totalMs: rounded(recording.totalMs) }),
    requestBytes: recording.requestBody.bytes,
    responseBytes: recording.responseBody.bytes,
    ...(type !== undefined && { type }),
    ...(replayOf !== undefined && { replayOf }),
    ...(deliveryOf !== undefined && { deliveryOf }),
    ...(recording.past && { earlier: true as const }),
    ...(recording.portal && { portal: recording.portal }),
    ...(recording.reload && { reload: true as const }),
  };
}

export interface ViewOptions {
  readonly reveal: boolean;
  readonly noReplay: string | undefined;
  /** Additional field names to mask, in lower case. */
  readonly mask?: ReadonlySet<string>;
}

export function detailsOf(
  recording: Recording,
  { reveal, noReplay, mask = NO_NAMES }: ViewOptions,
): RequestDetails {
  const message = (headers: Headers, trailers: Headers, body: CapturedBody): MessageInfo => ({
    headers: fields(headers, mask, reveal),
    trailers: fields(trailers, mask, reveal),
    body: bodyInfo(headers, body),
  });
  const { version, reason, requestMs, requestHeaders, requestTrailers, requestBody } = recording;
  return {
    ...rowOf(recording),
    version,
    ...(reason !== undefined && { reason }),
    ...(requestMs !== undefined && { requestMs: rounded(requestMs) }),
    request: message(requestHeaders, requestTrailers, requestBody),
    response: message(recording.responseHeaders, recording.responseTrailers, recording.responseBody),
    revealed: reveal,
    ...(recording.messages && { hasMessages: true as const }),
    ...(noReplay !== undefined && { noReplay }),
  };
}

function bodyInfo(headers: Headers, { bytes, keptBytes, cut }: CapturedBody): BodyInfo {
  const type = fieldOf(headers, 'content-type');
  const encoding = fieldOf(headers, 'content-encoding');
  return {
    bytes,
    keptBytes,
    ...(cut !== undefined && { cut }),
    ...(type !== undefined && { type }),
    ...(encoding !== undefined && { encoding }),
  };
}

const rounded = (ms: number): number => Math.round(ms * 100) / 100;
