import { expect, it } from 'vitest';
import { agent, desired, relay, service, tcpService, visit } from '../support/world.js';

const BODY = 'x'.repeat(100_000);
const ANSWER = `HTTP/1.1 413 Payload Too Large\r\nContent-Length: ${BODY.length}\r\nConnection: close\r\n\r\n${BODY}`;

it('a response sent before the end of the upload arrives whole, even if the service then resets', async () => {
  const at = await relay();
  // Responds at the first byte and closes with unread input, so the kernel sends a reset right after the response.
  const port = await tcpService((socket) => {
    socket.once('data', () => {
      socket.pause();
      socket.write(ANSWER, () => socket.destroy());
    });
  });
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', port)));
  for (let round = 0; round < 4; round++) {
    const visitor = await visit(at, 'web.localhost', one.ca);
    let received = '';
    visitor.on('data', (chunk: Buffer) => (received += chunk.toString()));
    visitor.on('error', () => undefined);
    const closed = new Promise((resolve) => visitor.once('close', resolve));
    visitor.write('POST / HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 60000000\r\n\r\n');
    const part = Buffer.alloc(1_000_000);
    const upload = (): void => {
      while (visitor.writable && visitor.write(part));
    };
    visitor.on('drain', upload);
    upload();
    await closed;
    expect({ round, bytes: received.length }).toEqual({ round, bytes: ANSWER.length });
  }
});
