import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** A receiver of webhooks: the program under test. Accepts requests whose body is signed with `secret`. */
export async function startReceiver(secret) {
  const signatureOf = (body) => createHmac('sha256', secret).update(body).digest('hex');
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    const expected = Buffer.from(signatureOf(body));
    const given = Buffer.from(request.headers['x-signature'] ?? '');
    const isSigned = given.length === expected.length && timingSafeEqual(given, expected);
    response.writeHead(isSigned ? 202 : 401).end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: server.address().port, signatureOf, close: () => server.close() };
}
