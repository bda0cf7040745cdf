/** The limits of mode `http`, as listed in docs/guides/http.md. Durations end in `Ms`, sizes in `Bytes`. */
export interface HttpLimits {
  /** Timeout of a request head, counted from its first byte or from the handshake. */
  readonly requestHeadMs: number;
  /** Size of all header fields of one message, in either direction. */
  readonly maxHeadBytes: number;
  /** Header fields of one message. */
  readonly maxHeaders: number;
  /** Timeout of a visitor's connection without a request. */
  readonly keepAliveMs: number;
  /** Idle time after which a visitor's HTTP/2 connection gets a ping, and the timeout for its acknowledgement. */
  readonly pingMs: number;
  /** Concurrent requests on one HTTP/2 connection, and pipelined requests on one HTTP/1.1 connection. */
  readonly maxStreams: number;
  /** HTTP/2 streams that a visitor may cancel in a burst, and then per second, before its connection is closed. */
  readonly resetBurst: number;
  readonly resetsPerSecond: number;
  /** PING and SETTINGS frames on an HTTP/2 connection without responses: in a burst, and then per second. */
  readonly idleFrameBurst: number;
  readonly idleFramesPerSecond: number;
  /** Timeout for the start of the target's response. */
  readonly responseMs: number;
  /** Timeout for a request or response without progress. */
  readonly stalledMs: number;
  /** Timeout for a visitor that sends none of the body that the target waits for: 408. */
  readonly bodyMs: number;
  /** Timeout for a visitor that reads none of an available response. */
  readonly sendMs: number;
  /**
   * Concurrent requests at one target. At the limit, the network with the most requests loses one, and further
   * requests get 503.
   */
  readonly maxAtTarget: number;
  /** How long to read and drop input after the end of the response. */
  readonly lingerMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
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
  responseMs: 120_000,
  stalledMs: 3_600_000,
  bodyMs: 60_000,
  sendMs: 300_000,
  maxAtTarget: 1_024,
  lingerMs: 5_000,
};

/** Whether a head has too many or too long fields. Counts bytes like node's HTTP/1.1 parser. */
export function isTooLarge(headers: readonly string[], target: string, limits: HttpLimits): boolean {
  let bytes = target.length;
  let cookies = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    bytes += name.length + headers[i + 1]!.length;
    // HTTP/2 sends the cookies of one field separately (RFC 9113, 8.2.3).
    if (name.length === 6 && name.toLowerCase() === 'cookie') cookies++;
  }
  return headers.length / 2 - Math.max(0, cookies - 1) > limits.maxHeaders || bytes >= limits.maxHeadBytes;
}

/**
 * HTTP/2 accepts heads larger by this factor, so that Portal can respond to a head over the limits. nghttp2 itself
 * would only reset the stream.
 */
const LENIENCY = 4;

/** Settings for both sides of HTTP/2. */
export const lenientSettings = ({ maxHeadBytes, maxHeaders }: HttpLimits) => ({
  maxHeaderListSize: LENIENCY * (maxHeadBytes + 32 * maxHeaders),
  maxHeaderListPairs: 2 * LENIENCY * maxHeaders,
});
