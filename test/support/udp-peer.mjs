/**
 * A UDP peer in a separate process, for tests that run it in another network. Prints one line of JSON.
 *
 *   node udp-peer.mjs echo               a service; prints its port and keeps running
 *   node udp-peer.mjs ask HOST PORT N    sends N numbered datagrams, about one a millisecond, and reports the replies
 */
import { createSocket } from 'node:dgram';

/** Late replies still count for this long after the last datagram. */
const PATIENCE_MS = 2_000;
const [role, host, port, count] = process.argv.slice(2);
const socket = createSocket(host?.includes(':') ? 'udp6' : 'udp4');
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

if (role === 'echo') {
  socket.on('message', (payload, from) => socket.send(payload, from.port, from.address));
  socket.bind(0, '127.0.0.1', () => tell({ port: socket.address().port }));
} else {
  const sentAt = [];
  const tookMs = new Map();
  let [doubled, wrong] = [0, 0];
  socket.on('message', (payload) => {
    const number = payload.readUInt32BE(0);
    if (payload.length !== 500 || sentAt[number] === undefined) wrong++;
    else if (tookMs.has(number)) doubled++;
    else tookMs.set(number, performance.now() - sentAt[number]);
  });
  socket.bind(0, () => {
    const timer = setInterval(() => {
      const number = sentAt.length;
      if (number === Number(count)) {
        clearInterval(timer);
        setTimeout(finish, PATIENCE_MS);
        return;
      }
      const payload = Buffer.alloc(500);
      payload.writeUInt32BE(number, 0);
      sentAt.push(performance.now());
      socket.send(payload, Number(port), host);
    }, 1);
  });
  const finish = () => {
    const sorted = [...tookMs.values()].toSorted((a, b) => a - b);
    const part = (share) => Math.round((sorted[Math.floor(share * (sorted.length - 1))] ?? 0) * 10) / 10;
    tell({ sent: sentAt.length, answered: tookMs.size, doubled, wrong, p50Ms: part(0.5), p99Ms: part(0.99) });
    socket.close();
  };
}
