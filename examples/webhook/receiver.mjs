/**
 * Receives webhooks signed as GitHub signs them: HMAC-SHA256 of the body, in X-Hub-Signature-256.
 * Run: WEBHOOK_SECRET=… node receiver.mjs
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const MAX_BODY_BYTES = 25 * 1024 * 1024;
const secret = process.env.WEBHOOK_SECRET ?? 'only for tests';

const server = createServer(async (request, response) => {
  if (request.method !== 'POST') return void response.writeHead(405, { allow: 'POST' }).end();
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) return void response.writeHead(413, { connection: 'close' }).end();
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  if (!isSigned(body, request.headers['x-hub-signature-256'])) return void response.writeHead(401).end();
  // Responds first and works later: senders time out after a few seconds.
  response.writeHead(204).end();
  console.log(`${request.headers['x-github-event'] ?? 'event'}: ${body.toString()}`);
});

function isSigned(body, signature = '') {
  const expected = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
  return (
    signature.length === expected.length && timingSafeEqual(Buffer.from(signature), Buffer.from(expected))
  );
}

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`listening on ${server.address().port}`);
});
