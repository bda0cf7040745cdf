import { writeFile } from 'node:fs/promises';
import { createServer as createHttp } from 'node:http';
import { createSecureServer, connect as connectHttp2 } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTls, type TlsOptions, type TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openLocalCa, type LocalCa } from '../../src/certificates/local-ca.js';
import { resetSocket } from '../../src/net/splice/reset.js';
import { temporaryFolder } from '../support/folder.js';
import { agent, desired, get, readAll, relay, service, visit } from '../support/world.js';

/** Targets on a socket in the file system, or with TLS. */

async function published(target: number | string, over: Parameters<typeof service>[2] = {}) {
  const at = await relay({ ports: { tcp: 'any' } });
  const { runner, ca, event } = await agent();
  const spec = service('web', target, { alpn: 'auto', ...over });
  await runner.apply(desired([at.spec], spec));
  await event('lease', ({ phase }) => phase === 'ready');
  return {
    at,
    ca,
    update: (changes: Parameters<typeof service>[2]) =>
      runner.apply(desired([at.spec], { ...spec, ...changes })),
    targetError: async () => (await runner.status()).leases[0]?.targetError,
    get: () => get(at, 'web.localhost', ca),
  };
}

/** A TLS service with a certificate of `names`. Resolves with its port, and its CA. */
async function tlsService(
  onSocket: (socket: TLSSocket) => void,
  names: readonly string[] = ['app.internal'],
  options: TlsOptions = {},
): Promise<{ port: number; issuer: LocalCa }> {
  const issuer = await openLocalCa(await temporaryFolder());
  const sockets = new Set<Socket>();
  const server = createTls(
    { ...(await issuer.issue([...names])), allowHalfOpen: true, ...options } as TlsOptions,
    (socket) => {
      socket.on('error', () => undefined);
      onSocket(socket);
    },
  );
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, issuer };
}

const answering = (socket: TLSSocket): void => {
  socket.once('data', () =>
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'),
  );
};

describe('a unix: target', () => {
  it('is used, reported while it is missing, and found again', async () => {
    const path = join(await temporaryFolder(), 'app.sock');
    const { get: ask, targetError } = await published(`unix:${path}`);
    expect((await ask()).status).toBe(503);
    expect(await targetError()).toBe(`unix:${path} is unreachable (ENOENT)`);
    const server = createHttp((_request, response) => void response.end('over a file'));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    expect((await ask()).text).toContain('over a file');
    expect(await targetError()).toBeUndefined();
  });
});

describe('an https:// target', () => {
  it('on this machine is used without verification', async () => {
    const { port } = await tlsService(answering);
    const { get: ask, targetError } = await published(`https://127.0.0.1:${port}`);
    expect((await ask()).text).toMatch(/200 OK[\s\S]*ok$/);
    expect(await targetError()).toBeUndefined();
  });

  it('is verified on request; status and visitors get the error', async () => {
    const { port, issuer } = await tlsService(answering);
    const {
      get: ask,
      targetError,
      update,
    } = await published(`https://127.0.0.1:${port}`, {
      targetTls: { verify: true },
    });
    const page = await ask();
    expect(page.status).toBe(502);
    expect(page.text).toContain('Portal does not trust the certificate of the service behind it');
    expect(page.text).not.toContain('127.0.0.1');
    expect(await targetError()).toMatch(/has a certificate that is not trusted \(\w+\)$/);
    // The right CA, but the certificate has another name.
    await update({ targetTls: { caFile: issuer.certificateFile } });
    expect((await ask()).status).toBe(502);
    expect(await targetError()).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
    await update({ targetTls: { caFile: issuer.certificateFile, serverName: 'app.internal' } });
    expect((await ask()).status).toBe(200);
    expect(await targetError()).toBeUndefined();
    await update({ targetTls: { caFile: join(await temporaryFolder(), 'none.pem') } });
    expect((await ask()).status).toBe(502);
    expect(await targetError()).toContain('does not exist');
    await update({ targetTls: { verify: false, serverName: 'another.internal' } });
    expect((await ask()).status).toBe(200);
  });

  it('uses a new CA from the file automatically', async () => {
    const { port, issuer } = await tlsService(answering);
    const [folder, other] = [await temporaryFolder(), await openLocalCa(await temporaryFolder())];
    const caFile = join(folder, 'ca.pem');
    await writeFile(caFile, other.certificatePem);
    const { get: ask } = await published(`https://127.0.0.1:${port}`, {
      targetTls: { caFile, serverName: 'app.internal' },
    });
    expect((await ask()).status).toBe(502);
    await writeFile(caFile, issuer.certificatePem);
    expect((await ask()).status).toBe(200);
  });

  it('uses the protocol that the visitor negotiated', async () => {
    const issuer = await openLocalCa(await temporaryFolder());
    const seen: (string | false | null)[] = [];
    const server = createSecureServer(
      { ...(await issuer.issue(['app.internal'])), allowHTTP1: true },
      (request, response) => {
        seen.push((request.socket as TLSSocket).alpnProtocol);
        response.end(`over ${request.httpVersion}`);
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const { at, ca, get: ask } = await published(`https://127.0.0.1:${port}`);
    expect((await ask()).text).toContain('over 1.1');
    const visitor = await visit(at, 'web.localhost', ca, { ALPNProtocols: ['h2', 'http/1.1'] });
    const session = connectHttp2('https://web.localhost', { createConnection: () => visitor });
    expect((await readAll(session.request({ ':path': '/' }) as never)).toString()).toBe('over 2.0');
    session.destroy();
    const silent = await visit(at, 'web.localhost', ca, { ALPNProtocols: undefined as never });
    silent.write('GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n');
    expect((await readAll(silent)).toString()).toContain('over 1.1');
    expect(seen).toEqual(['http/1.1', 'h2', false]);
  });

  it('keeps half-closes and resets', async () => {
    const { port } = await tlsService((socket) => {
      let said = '';
      socket.on('data', (chunk: Buffer) => {
        said += String(chunk);
        if (said === 'reset') resetSocket(socket);
      });
      socket.once('end', () => socket.end(`you said ${said}`));
    });
    const { at, ca } = await published(`https://127.0.0.1:${port}`);
    const visitor = await visit(at, 'web.localhost', ca, { allowHalfOpen: true } as never);
    visitor.end('hello');
    expect((await readAll(visitor)).toString()).toBe('you said hello');
    const second = await visit(at, 'web.localhost', ca);
    second.write('reset');
    await expect(readAll(second)).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it('without TLS is reported as such', async () => {
    const server = createHttp();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const { get: ask, targetError } = await published(`https://127.0.0.1:${port}`);
    expect((await ask()).status).toBe(503);
    expect(await targetError()).toMatch(/(aborted|closed the connection in) its TLS handshake/);
  });
});
