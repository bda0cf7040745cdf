/** The few HTTP/2 frames that Portal sends outside a session (RFC 9113 §6). */

const SETTINGS = 4;
const GOAWAY = 7;
const ACK = 1;
/** GOAWAY: no stream was processed, and there is no error. */
const goaway = Buffer.concat([frame(GOAWAY, 8), Buffer.alloc(8)]);

/** The client's first bytes with prior knowledge: preface and empty SETTINGS (RFC 9113 §3.4). */
export const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(SETTINGS, 0)]);
/** A client's last frames, so that the server logs no error. */
export const CLIENT_GOAWAY = Buffer.concat([frame(SETTINGS, 0, ACK), goaway]);
/** A server's first and last frames. The client may retry its requests on another connection. */
export const SERVER_GOAWAY = Buffer.concat([frame(SETTINGS, 0), goaway]);

/** A server's connection starts with a SETTINGS frame on stream 0 without ACK (RFC 9113 §3.4). */
export function isSettings(bytes: Buffer | undefined): boolean {
  if (!bytes || bytes.length < 9) return false;
  const length = bytes.readUIntBE(0, 3);
  return bytes[3] === SETTINGS && (bytes[4]! & ACK) === 0 && bytes.readUInt32BE(5) === 0 && length % 6 === 0;
}

/** A frame header on stream 0. */
function frame(type: number, length: number, flags = 0): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head[3] = type;
  head[4] = flags;
  return head;
}
