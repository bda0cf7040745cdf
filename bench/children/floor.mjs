import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { options, tell } from './lib.mjs';

/**
 * A relay or an agent in a few lines of Node, without limits, accounts or encryption between the two: the minimum cost of
 * the same path. With `cert` and `key` it ends TLS, as an agent does.
 */

const HOST = '127.0.0.1';
const { to, cert, key, ciphers, datagrams } = options;

if (datagrams) {
  const [front, back] = [createSocket('udp4'), createSocket('udp4')];
  let visitor;
  front.on('message', (payload, from) => {
    visitor = from;
    back.send(payload);
  });
  back.on('message', (payload) => front.send(payload, visitor.port, visitor.address));
  for (const socket of [front, back]) socket.on('error', () => undefined);
  back.connect(to, HOST, () => front.bind(0, HOST, () => tell({ port: front.address().port })));
} else {
  const join = (visitor) => {
    const onward = connect({ host: HOST, port: to, noDelay: true, allowHalfOpen: true });
    visitor.pipe(onward).pipe(visitor);
    for (const socket of [visitor, onward])
      socket.on('error', () => {
        visitor.destroy();
        onward.destroy();
      });
  };
  const shared = { noDelay: true, allowHalfOpen: true };
  const server = cert
    ? createTlsServer({ ...shared, cert: readFileSync(cert), key: readFileSync(key), ciphers }, join)
    : createServer(shared, join);
  server.listen(0, HOST, () => tell({ port: server.address().port }));
}
