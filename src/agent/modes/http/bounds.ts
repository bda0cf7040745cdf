/** Every bound of mode `http`; docs/guides/http.md lists them. Durations end in `Ms`, sizes in `Bytes`. */
export interface HttpBounds {
  /** The head of a request is there whole within this, counted from its first byte, or from the handshake. */
  readonly requestHeadMs: number;
  /** All header fields of one message, either way. */
  readonly maxHeadBytes: number;
  /** Header fields in one message. */
  readonly maxHeaders: number;
  /** A visitor's connection with no request on it is closed after this. */
  readonly keepAliveMs: number;
  /** A visitor's HTTP/2 connection on which nothing moved for this long is asked whether anybody is there; as long again for the answer. */
  readonly pingMs: number;
  /** Requests on one HTTP/2 connection at a time, and waiting one behind another on one of HTTP/1.1. */
  readonly maxStreams: number;
  /** HTTP/2 streams that a visitor may take back at once, and then each second, before its connection is ended. */
  readonly resetBurst: number;
  readonly resetsPerSecond: number;
  /** PING and SETTINGS frames of HTTP/2, beside which nothing is answered, at once and then each second; likewise. */
  readonly idleFrameBurst: number;
  readonly idleFramesPerSecond: number;
  /** The target begins its answer within this. */
  readonly answerMs: number;
  /** Nothing moved in the middle of a request or an answer for this long: it is broken off. */
  readonly stalledMs: number;
  /** The visitor says nothing of a body that the target waits for, for this long: 408. */
  readonly bodyMs: number;
  /** The visitor takes nothing of an answer that is there, for this long: it is broken off. */
  readonly sendMs: number;
  /** Requests at one target at a time. When all are there, the network with most of them gives way; others are told to come back. */
  readonly maxAtTarget: number;
  /** What a visitor sends on after the answer is complete is read and dropped for this long. */
  readonly lingerMs: number;
}

export const HTTP_BOUNDS: HttpBounds = {
  requestHeadMs: 15_000,
  maxHeadBytes: 32 * 1024,
  maxHeaders: 200,
  keepAliveMs: 60_000,
  pingMs: 60_000,
  maxStreams: 128,
  resetBurst: 200,
  resetsPerSecond: 50,
  idleFrameBurst: 100,
  idleFramesPerSecond: 10,
  answerMs: 120_000,
  stalledMs: 3_600_000,
  bodyMs: 60_000,
  sendMs: 300_000,
  maxAtTarget: 1_024,
  lingerMs: 5_000,
};

/** Whether a head has more fields, or longer ones, than may pass. Bytes are counted as node's parser of HTTP/1.1 counts them. */
export function isTooLarge(headers: readonly string[], target: string, bounds: HttpBounds): boolean {
  let bytes = target.length;
  let cookies = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    bytes += name.length + headers[i + 1]!.length;
    // HTTP/2 sends the cookies of one field one by one (RFC 9113, 8.2.3).
    if (name.length === 6 && name.toLowerCase() === 'cookie') cookies++;
  }
  return headers.length / 2 - Math.max(0, cookies - 1) > bounds.maxHeaders || bytes >= bounds.maxHeadBytes;
}

/** So much more is taken over HTTP/2 that a head that is too large gets its answer, where nghttp2 knows only a reset. */
const HEARD_OUT = 4;

/** Settings for both sides of HTTP/2. */
export const heardOut = ({ maxHeadBytes, maxHeaders }: HttpBounds) => ({
  maxHeaderListSize: HEARD_OUT * (maxHeadBytes + 32 * maxHeaders),
  maxHeaderListPairs: 2 * HEARD_OUT * maxHeaders,
});
