/** The few frames of HTTP/2 that are said without a session of it (RFC 9113 §6). */

const SETTINGS = 4;
const GOAWAY = 7;
const ACK = 1;
/** No stream was taken up, and nothing is wrong. */
const goaway = Buffer.concat([frame(GOAWAY, 8), Buffer.alloc(8)]);

/** The client's half of a connection with prior knowledge: preface and empty SETTINGS (RFC 9113 §3.4). */
export const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(SETTINGS, 0)]);
/** A client's last words: so that the server has nothing to complain of in its log. */
export const GOODBYE = Buffer.concat([frame(SETTINGS, 0, ACK), goaway]);
/** A server's first and last words: whatever the client asked, it may ask again on another connection. */
export const COME_AGAIN = Buffer.concat([frame(SETTINGS, 0), goaway]);

/** A server's connection begins with a SETTINGS frame on stream 0 that acknowledges nothing (RFC 9113 §3.4). */
export function isSettings(bytes: Buffer | undefined): boolean {
  if (!bytes || bytes.length < 9) return false;
  const length = bytes.readUIntBE(0, 3);
  return bytes[3] === SETTINGS && (bytes[4]! & ACK) === 0 && bytes.readUInt32BE(5) === 0 && length % 6 === 0;
}

/** The head of a frame on stream 0. */
function frame(type: number, length: number, flags = 0): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head[3] = type;
  head[4] = flags;
  return head;
}
