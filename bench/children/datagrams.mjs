/** What the two ends of the UDP benchmarks agree on: kind (1), run (4), number (4), and nothing up to the size. */

export const KIND = { flood: 0, ping: 1 };
const BUFFER_BYTES = 4 * 1024 * 1024;

export function datagram(kind, run, bytes) {
  const payload = Buffer.alloc(bytes);
  payload[0] = kind;
  payload.writeUInt32BE(run, 1);
  return payload;
}

/** As much as the system gives: where it is little, a burst is lost before anybody reads it. */
export function growBuffers(socket) {
  socket.setRecvBufferSize(BUFFER_BYTES);
  socket.setSendBufferSize(BUFFER_BYTES);
}
