/** The datagram format of the UDP benchmarks: kind (1), run (4), number (4), then zeros up to the size. */

export const KIND = { flood: 0, ping: 1 };
const BUFFER_BYTES = 4 * 1024 * 1024;

export function datagram(kind, run, bytes) {
  const payload = Buffer.alloc(bytes);
  payload[0] = kind;
  payload.writeUInt32BE(run, 1);
  return payload;
}

/** The largest buffer that the system allows. With a small one, bursts are lost before the process reads them. */
export function growBuffers(socket) {
  socket.setRecvBufferSize(BUFFER_BYTES);
  socket.setSendBufferSize(BUFFER_BYTES);
}
