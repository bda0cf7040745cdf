import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer as createH2Server } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ask, askH2, connectTo, edge, h2Visitor, HOST, raw, rawTarget } from '../support/http-edge.js';
import { httpService } from '../support/world.js';

const MEGABYTE = 1024 * 1024;

const requestOf = (method: string, path: string, extra = ''): string =>
  `${method} ${path} HTTP/1.1\r\nHost: ${HOST}\r\n${extra}\r\n`;

/** Responds to an upload with its hash, and to a download of `?n` with n bytes. */
async function bulk(): Promise<number> {
  const { port } = await httpService((request, response) => {
    const bytes = Number(request.url!.split('?')[1] ?? 0);
    if (bytes > 0) {
      const part = Buffer.alloc(MEGABYTE, 'x');
      let left = bytes;
      const more = (): void => {
        while (left > 0) {
          left -= part.length;
          if (!response.write(part)) return void response.once('drain', more);
        }
        response.end();
      };
      return more();
    }
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.on('end', () => response.end(hash.digest('hex')));
  });
  return port;
}

describe('bodies', () => {
  it('arrive whole in both directions, over both versions', async () => {
    const at = await edge({ '/': await bulk() });
    const body = randomBytes(8 * MEGABYTE);
    const hash = createHash('sha256').update(body).digest('hex');
    expect((await ask(at, '/', { method: 'POST', body })).body).toBe(hash);
    const visitor = await h2Visitor(at);
    expect((await askH2(visitor, { ':path': '/', ':method': 'POST' }, body)).body).toBe(hash);
    expect((await ask(at, `/?${8 * MEGABYTE}`)).body.length).toBe(8 * MEGABYTE);
    expect((await askH2(visitor, { ':path': `/?${8 * MEGABYTE}` })).body.length).toBe(8 * MEGABYTE);
  });

  it.each(['http/1.1', 'h2'])(
    'wait for a slow reader instead of filling memory, over %s',
    async (version) => {
      let written = 0;
      const { port } = await httpService((_request, response) => {
        const part = Buffer.alloc(MEGABYTE);
        const more = (): void => {
          do written++;
          while (response.write(part) && written < 512);
          if (written < 512) response.once('drain', more);
        };
        response.once('close', () => response.removeAllListeners('drain'));
        more();
      });
      const at = await edge({ '/': port });
      if (version === 'h2') {
        await once((await h2Visitor(at)).request({ ':path': '/' }), 'response');
      } else {
        const socket = await connectTo(at);
        socket.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
        await once(socket, 'data');
        socket.pause();
      }
      // The transfer stalls once every buffer on the path is full, far before the end.
      let before = -1;
      await expect
        .poll(
          () => {
            const still = written === before;
            before = written;
            return still && written > 0;
          },
          { interval: 200 },
        )
        .toBe(true);
      expect(written).toBeLessThan(64);
    },
  );

  it.each(['with a length', 'in chunks'])('arrive byte for byte, short ones too, %s', async (framing) => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    const { port } = await httpService((request, response) => {
      const size = Number(request.url!.slice(1));
      const body = Buffer.alloc(size, bytes);
      if (framing === 'with a length') response.setHeader('content-length', size);
      else response.addTrailers({ 'x-end': 'yes' });
      // Later bytes must follow the bytes that are held back for them.
      response.write(body.subarray(0, size / 2));
      if (size % 3 === 0) response.end(body.subarray(size / 2));
      else setImmediate(() => response.end(body.subarray(size / 2)));
    });
    const at = await edge({ '/': port });
    for (const size of [1, 2, 255, 256, 3_000, 4_095, 4_096, 4_097, 8_192, 12_000, 70_000]) {
      const answer = await ask(at, `/${size}`);
      expect(answer.bytes.equals(Buffer.alloc(size, bytes)), `${size} bytes`).toBe(true);
      expect(answer.trailers).toEqual(framing === 'in chunks' ? { 'x-end': 'yes' } : {});
    }
  });

  it('events of a stream arrive one by one', async () => {
    const listeners: ServerResponse[] = [];
    const { port } = await httpService((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      listeners.push(response);
    });
    const at = await edge({ '/': port });
    for (const open of [
      async () => {
        const socket = await connectTo(at);
        socket.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
        return socket;
      },
      async () => (await h2Visitor(at)).request({ ':path': '/' }),
    ]) {
      const stream = await open();
      let received = '';
      stream.on('data', (chunk: Buffer) => (received += chunk.toString()));
      await new Promise<void>((resolve) => {
        if ('rstCode' in stream) stream.once('response', () => resolve());
        else stream.once('data', () => resolve());
      });
      for (const text of ['one', 'two', 'three']) {
        listeners.at(-1)!.write(`data: ${text}\n\n`);
        await expect.poll(() => received).toContain(`data: ${text}\n\n`);
      }
      stream.destroy();
    }
  });

  it('the head is forwarded before the body arrives, and a response before the request is complete', async () => {
    // Echoes each chunk immediately: neither side may wait for the other's end.
    const { port } = await httpService((request, response) => {
      response.flushHeaders();
      request.on('data', (chunk: Buffer) => response.write(chunk));
      request.on('end', () => response.end());
    });
    const at = await edge({ '/': port });
    const stream = (await h2Visitor(at)).request({ ':path': '/', ':method': 'POST' }, { endStream: false });
    await once(stream, 'response');
    for (const word of ['ping', 'pong']) {
      stream.write(word);
      const [chunk] = (await once(stream, 'data')) as [Buffer];
      expect(chunk.toString()).toBe(word);
    }
    stream.end();
    await once(stream, 'end');
  });

  it('HEAD, 204 and 304 have no body, and keep the connection in sync', async () => {
    const { port } = await httpService((request, response) => {
      const status = Number(request.url!.slice(1)) || 200;
      response.writeHead(status, status === 304 ? { etag: '"x"', 'content-length': 5 } : {});
      response.end(status === 200 ? 'hello' : undefined);
    });
    const at = await edge({ '/': port });
    const text = await raw(
      at,
      requestOf('HEAD', '/200') +
        requestOf('GET', '/204') +
        requestOf('GET', '/304') +
        requestOf('GET', '/200', 'Connection: close\r\n'),
    );
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual([
      'HTTP/1.1 200',
      'HTTP/1.1 204',
      'HTTP/1.1 304',
      'HTTP/1.1 200',
    ]);
    expect(text.match(/hello/g)).toHaveLength(1);
    const visitor = await h2Visitor(at);
    expect(await askH2(visitor, { ':path': '/204' })).toMatchObject({ status: 204, body: '' });
    expect(await askH2(visitor, { ':path': '/200', ':method': 'HEAD' })).toMatchObject({
      status: 200,
      body: '',
    });
  });

  it('an HTTP/1.0 visitor gets a body that ends with the connection', async () => {
    const { port } = await httpService((_request, response) => {
      response.write('a');
      response.end('b');
    });
    const at = await edge({ '/': port });
    const text = await raw(at, 'GET / HTTP/1.0\r\n\r\n');
    expect(text).not.toMatch(/transfer-encoding/i);
    expect(text).toMatch(/\r\n\r\nab$/);
  });
});

describe('trailers', () => {
  it('work in both directions, over both versions', async () => {
    const { port } = await httpService((request, response) => {
      request.resume();
      request.on('end', () => {
        response.writeHead(200, { trailer: 'x-sum' });
        response.write('body');
        response.addTrailers({ 'x-sum': request.trailers['x-in'] ?? 'none' });
        response.end();
      });
    });
    const at = await edge({ '/': port });
    const chunked = `POST / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-In: 7\r\n\r\n`;
    expect(await raw(at, chunked)).toMatch(/\r\n0\r\nx-sum: 7\r\n\r\n$/i);
    expect((await ask(at, '/')).trailers).toEqual({ 'x-sum': 'none' });
    const visitor = await h2Visitor(at);
    const stream = visitor.request(
      { ':path': '/', ':method': 'POST' },
      { endStream: false, waitForTrailers: true },
    );
    stream.once('wantTrailers', () => stream.sendTrailers({ 'x-in': '8' }));
    stream.end('a');
    stream.resume();
    const [trailers] = (await once(stream, 'trailers')) as [Record<string, string>];
    expect(trailers['x-sum']).toBe('8');
  });

  it('also follow a body of known length if the target speaks HTTP/2', async () => {
    const target = createH2Server();
    target.on('stream', (stream) => {
      stream.respond({ ':status': 200, 'content-length': 4 }, { waitForTrailers: true });
      stream.once('wantTrailers', () => stream.sendTrailers({ 'x-sum': '9' }));
      stream.end('body');
    });
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void target.close());
    const at = await edge({ '/': (target.address() as AddressInfo).port });
    const { body, trailers } = await askH2(await h2Visitor(at), { ':path': '/' });
    expect({ body, sum: trailers['x-sum'] }).toEqual({ body: 'body', sum: '9' });
  });
});

describe('interim responses', () => {
  it('only the target sends 100 Continue, and the body waits for it', async () => {
    const order: string[] = [];
    const target = await rawTarget((received, socket) => {
      if (order.length === 0 && received.includes('\r\n\r\n')) {
        order.push(/expect: 100-continue/i.test(received) ? 'head' : 'wrong head');
        socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      } else if (received.endsWith('hello')) {
        order.push('body');
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      }
    });
    const at = await edge({ '/': target.port });
    const socket = await connectTo(at);
    socket.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`);
    const [first] = (await once(socket, 'data')) as [Buffer];
    expect(first.toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    socket.write('hello');
    const [second] = (await once(socket, 'data')) as [Buffer];
    expect(second.toString()).toMatch(/^HTTP\/1\.1 200 /);
    expect(order).toEqual(['head', 'body']);
  });

  it('a rejection instead of 100 arrives without the body having been sent', async () => {
    const target = await rawTarget(
      'HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno',
    );
    const at = await edge({ '/': target.port }, { bounds: { lingerMs: 200 } });
    const answer = await raw(
      at,
      `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toMatch(/connection: close/i);
    expect(answer).not.toMatch(/100 Continue/);
    expect(target.received[0]).toMatch(/\r\n\r\n$/);
  });

  it('103 is forwarded, over both versions', async () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n';
    const target = await rawTarget(
      `${hints}HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    );
    const at = await edge({ '/': target.port });
    const text = await raw(at, `GET / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
    expect(text).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 /i,
    );
    const stream = (await h2Visitor(at)).request({ ':path': '/' });
    const [headers] = (await once(stream, 'headers')) as [Record<string, unknown>];
    expect(headers).toMatchObject({ ':status': 103, link: '</a.css>; rel=preload' });
    await once(stream, 'response');
  });
});

describe('a peer that disconnects', () => {
  it.each([
    ['http/1.1', 'GET'],
    ['http/1.1', 'POST'],
    ['h2', 'GET'],
    ['h2', 'POST'],
  ])('a visitor over %s ends its %s at the target', async (version, method) => {
    const sockets: Socket[] = [];
    const target = await rawTarget((_received, socket) => void sockets.push(socket));
    const at = await edge({ '/': target.port });
    let leave: () => void;
    if (version === 'h2') {
      const visitor = await h2Visitor(at);
      const stream = visitor.request({ ':path': '/', ':method': method }, { endStream: method === 'GET' });
      stream.on('error', () => undefined);
      if (method === 'POST') stream.write('x');
      leave = () => stream.close(8);
    } else {
      const socket = await connectTo(at);
      const [length, body] = method === 'POST' ? ['Content-Length: 9\r\n', 'x'] : ['', ''];
      socket.write(`${method} / HTTP/1.1\r\nHost: ${HOST}\r\n${length}\r\n${body}`);
      leave = () => socket.destroy();
    }
    await expect.poll(() => sockets.length).toBeGreaterThan(0);
    const closed = new Promise((resolve) => sockets[0]!.once('close', resolve));
    leave();
    await closed;
    expect(sockets[0]!.destroyed).toBe(true);
  });

  it('a target that resets in the middle truncates the response', async () => {
    const target = await rawTarget((received, socket) => {
      if (!received.includes('\r\n\r\n')) return;
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', () =>
        setImmediate(() => socket.resetAndDestroy()),
      );
    });
    const at = await edge({ '/': target.port });
    await expect(ask(at, '/')).rejects.toThrow(/aborted|hang up|reset|closed|ECONNRESET|INTERNAL/i);
    await expect(ask(at, '/', { method: 'POST', body: 'x' })).rejects.toThrow(
      /aborted|hang up|reset|closed|ECONNRESET|INTERNAL/i,
    );
    await expect(askH2(await h2Visitor(at), { ':path': '/' })).rejects.toThrow(
      /aborted|hang up|reset|closed|ECONNRESET|INTERNAL/i,
    );
  });

  it('an early response to an upload is forwarded, and the upload is dropped', async () => {
    const answer = 'HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno';
    const target = await rawTarget((received, socket) => {
      if (!received.includes('\r\n\r\n')) return;
      socket.pause();
      socket.write(answer, () => socket.destroy());
    });
    const at = await edge({ '/': target.port }, { bounds: { lingerMs: 500 } });
    for (let round = 0; round < 4; round++) {
      const socket = await connectTo(at);
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      socket.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 60000000\r\n\r\n`);
      const part = Buffer.alloc(MEGABYTE);
      const upload = (): void => {
        while (socket.writable && socket.write(part));
      };
      socket.on('drain', upload);
      upload();
      await new Promise((resolve) => socket.once('close', resolve));
      expect(text).toMatch(/^HTTP\/1\.1 413 [\s\S]*no$/);
    }
  });
});

describe('a target', () => {
  it('that is down is reported within two seconds, and used again when it recovers', async () => {
    const service = await httpService((_request, response) => response.end('here'));
    const at = await edge({ '/': service.port });
    expect((await ask(at, '/')).body).toBe('here');
    await service.close();
    for (const method of ['GET', 'POST']) {
      const { status, headers, body } = await ask(at, '/', { method });
      expect({ status, retry: headers['retry-after'] }).toEqual({ status: 503, retry: '3' });
      expect(body).toContain('app is not running');
    }
    expect(await askH2(await h2Visitor(at), { ':path': '/' })).toMatchObject({ status: 503 });
    await httpService((_request, response) => response.end('back'), service.port);
    expect((await ask(at, '/')).body).toBe('back');
    expect((await ask(at, '/', { method: 'POST' })).body).toBe('back');
  });

  it('that does not respond times out, 504', async () => {
    const target = await rawTarget(() => undefined);
    const at = await edge({ '/': target.port }, { bounds: { responseMs: 300 } });
    expect((await ask(at, '/')).status).toBe(504);
    expect((await ask(at, '/', { method: 'POST', body: 'x' })).status).toBe(504);
  });

  it('has a limit of concurrent requests', async () => {
    const waiting: (() => void)[] = [];
    const { port } = await httpService((_request, response) => waiting.push(() => response.end('done')));
    const at = await edge({ '/': port }, { bounds: { maxAtTarget: 2 } });
    const first = [ask(at, '/'), ask(at, '/')];
    await expect.poll(() => waiting.length).toBe(2);
    expect((await ask(at, '/')).status).toBe(503);
    for (const finish of waiting) finish();
    expect((await Promise.all(first)).map(({ body }) => body)).toEqual(['done', 'done']);
  });

  it('that closes a kept-alive connection at that moment gets a harmless request again', async () => {
    // Responds to one request per connection, and closes when the next arrives.
    let requested = 0;
    const target = await rawTarget((received, socket) => {
      const requests = received.match(/HTTP\/1\.1\r\n/g)!.length;
      requested++;
      if (requests > 1) socket.destroy();
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    const at = await edge({ '/': target.port });
    expect((await ask(at, '/')).body).toBe('ok');
    expect((await ask(at, '/')).body).toBe('ok');
    expect(requested).toBe(3);
  });
});
