import { createSocket } from 'node:dgram';
import { datagram, growBuffers, KIND } from './datagrams.mjs';
import { options, tell } from './lib.mjs';

/**
 * One visitor who sends `rate` datagrams a second. With `ping`, reports round-trip times. Otherwise reports how many
 * it sent, and the service counts arrivals. A datagram that arrives more than `lateMs` after the last one counts as
 * lost.
 */

const { host, port, bytes, rate, seconds, run, ping, lateMs } = options;
/** A larger batch overflows a socket's buffer, however fast the other end reads. */
const MAX_BURST = 32;
const MAX_QUEUED_BYTES = 64 * 1024;
const KNOCK_MS = 200;

const total = Math.max(1, Math.round(rate * seconds));
const payload = datagram(ping ? KIND.ping : KIND.flood, run, bytes);
const sentAt = new Float64Array(ping ? total : 0);
const latencies = [];
let sent = 0;

const socket = createSocket('udp4');
socket.on('error', (error) => tell({ error: error.message }));
socket.connect(port, host, () => {
  growBuffers(socket);
  // The first datagram opens the flow. Only later ones are measured.
  const knock = datagram(KIND.ping, 0, 16);
  const knocking = setInterval(() => socket.send(knock), KNOCK_MS);
  socket.send(knock);
  socket.once('message', () => {
    clearInterval(knocking);
    if (ping) socket.on('message', arrived);
    tell({ started: true });
    setTimeout(() => send(performance.now()), 50);
  });
});

function arrived(answer) {
  if (answer.readUInt32BE(1) !== run) return;
  const number = answer.readUInt32BE(5);
  if (sentAt[number] > 0) latencies.push(performance.now() - sentAt[number]);
  sentAt[number] = 0;
}

function send(startedAt) {
  const now = performance.now();
  const due = Math.min(total, Math.ceil(((now - startedAt) * rate) / 1000));
  for (let burst = 0; sent < due && burst < MAX_BURST; burst++) {
    if (socket.getSendQueueSize() > MAX_QUEUED_BYTES) break;
    if (ping) {
      payload.writeUInt32BE(sent, 5);
      sentAt[sent] = performance.now();
      // The system may delay the send, and the next datagram reuses the buffer.
      socket.send(Buffer.from(payload));
    } else {
      socket.send(payload);
    }
    sent++;
  }
  // A sender that falls far behind sends less. `seconds` shows it.
  if (sent < due) return void setImmediate(send, startedAt);
  if (sent < total) return void setTimeout(send, 1, startedAt);
  const took = (performance.now() - startedAt) / 1000;
  if (ping) setTimeout(() => finish(took), lateMs);
  else finish(took);
}

function finish(took) {
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.floor(latencies.length * share)];
  tell({ done: true, sent, seconds: took, answered: latencies.length, p50Ms: at(0.5), p99Ms: at(0.99) });
}
