/** A sample game server: a TCP lobby that greets, and a UDP world that replies. Run: node server.mjs */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const lobby = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.write('welcome\n');
  socket.on('data', (said) => socket.write(`you said ${said}`));
});
const world = createSocket('udp4');
world.on('message', (message, { address, port }) => world.send(`moved ${message}`, port, address));

await new Promise((resolve) => lobby.listen(Number(process.env.TCP_PORT ?? 25565), '127.0.0.1', resolve));
await new Promise((resolve) => world.bind(Number(process.env.UDP_PORT ?? 19132), '127.0.0.1', resolve));
console.log(`listening on ${lobby.address().port} and ${world.address().port}`);
