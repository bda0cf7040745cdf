import { decode } from './decode.js';
import type { Recording } from './recording.js';
import type { BodyInfo, Field, RequestDetails } from './wire.js';

/** HTTP Archive 1.2, the format of browser tools. Secrets are masked as in `details`. */

export const HAR_BEGIN = '{"log":{"version":"1.2","creator":{"name":"Portal","version":"1"},"entries":[';
export const HAR_END = ']}}';

export async function harEntry(
  recording: Recording,
  details: RequestDetails,
  maxDecodedBytes: number,
): Promise<object> {
  const { authority, target, method, request, response, requestMs = 0, firstByteMs = 0, totalMs } = details;
  const whole = Math.max(totalMs ?? firstByteMs, firstByteMs);
  const sent = Math.min(requestMs, firstByteMs);
  const version = `HTTP/${details.version}`;
  const url = `https://${authority}${target}`;
  const [requestContent, responseContent] = await Promise.all([
    contentOf(recording.requestBody.kept(), request.body, maxDecodedBytes),
    contentOf(recording.responseBody.kept(), response.body, maxDecodedBytes),
  ]);
  const { type = '' } = request.body;
  return {
    startedDateTime: new Date(details.startedAt).toISOString(),
    time: whole,
    request: {
      method,
      url,
      httpVersion: version,
      cookies: [],
      headers: plain(request.headers),
      queryString: target.includes('?') ? pairsOf(target.slice(target.indexOf('?') + 1)) : [],
      ...(requestContent && { postData: { mimeType: type, ...requestContent } }),
      headersSize: -1,
      bodySize: request.body.bytes,
    },
    response: {
      status: details.status ?? 0,
      statusText: details.reason ?? '',
      httpVersion: version,
      cookies: [],
      headers: plain(response.headers),
      content: { size: response.body.bytes, mimeType: response.body.type ?? '', ...responseContent },
      redirectURL: response.headers.find(({ name }) => name.toLowerCase() === 'location')?.value ?? '',
      headersSize: -1,
      bodySize: response.body.bytes,
    },
    cache: {},
    timings: { send: sent, wait: firstByteMs - sent, receive: whole - firstByteMs },
    _service: details.service,
    _visitor: details.remote,
    _outcome: details.outcome,
    ...(request.body.cut && { _requestBodyCut: request.body.cut }),
    ...(response.body.cut && { _responseBodyCut: response.body.cut }),
  };
}

/** As text if the body is text. */
async function contentOf(
  kept: Buffer,
  { encoding, cut }: BodyInfo,
  maxBytes: number,
): Promise<{ text: string; encoding?: 'base64' } | undefined> {
  if (kept.length === 0) return undefined;
  const { bytes, isPart } = (await decode(kept, encoding, maxBytes)) ?? { bytes: kept, isPart: false };
  // Only a truncated body may end within a character. The text of a whole body must preserve every byte.
  const stream = isPart || cut !== undefined;
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream }) };
  } catch {
    return { text: bytes.toString('base64'), encoding: 'base64' };
  }
}

const plain = (headers: readonly Field[]): Field[] => headers.map(({ name, value }) => ({ name, value }));

const pairsOf = (query: string): Field[] =>
  [...new URLSearchParams(query)].map(([name, value]) => ({ name, value }));
