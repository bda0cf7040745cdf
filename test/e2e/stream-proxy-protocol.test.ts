import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { programFor } from '../support/debian.js';
import { daemon } from '../support/daemon.js';
import { temporaryFolder } from '../support/folder.js';
import { agent, desired, get, readAll, relay, service, tcpService, visit } from '../support/world.js';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const LOCAL = `${SIGNATURE}20000000`;

async function published(target: string | number, over: Parameters<typeof service>[2] = {}) {
  const at = await relay({ ports: { tcp: 'any' } });
  const { runner, ca, event } = await agent();
  const spec = service('web', target, { alpn: 'auto', proxyProtocol: true, ...over });
  await runner.apply(desired([at.spec], spec));
  const { tcpAddr } = await event('lease', ({ phase }) => phase === 'ready');
  return {
    at,
    ca,
    runner,
    port: Number(tcpAddr?.split(':')[1]),
    update: (changes: Parameters<typeof service>[2]) =>
      runner.apply(desired([at.spec], { ...spec, ...changes })),
  };
}

/** A server behind `listen … proxy_protocol` that responds with the header's values, and logs them. */
async function nginx(path: string): Promise<{ target: string; log: () => Promise<string> }> {
  const folder = await temporaryFolder();
  const [socket, conf, accessLog] = ['nginx.sock', 'nginx.conf', 'access.log'].map((name) =>
    join(folder, name),
  );
  const reported = '$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port';
  await writeFile(
    conf!,
    `daemon off; worker_processes 1; pid "${join(folder, 'pid')}"; error_log stderr;
    events { worker_connections 64; }
    http {
      ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path "${join(folder, name)}";`).join(' ')}
      log_format told '${reported}'; access_log "${accessLog}" told;
      server { listen "unix:${socket}" proxy_protocol; location / { return 200 "${reported} "; } }
    }`,
  );
  await daemon(path, ['-c', conf!, '-e', 'stderr'], socket!);
  return { target: `unix:${socket}`, log: () => readFile(accessLog!, 'utf8') };
}

async function haproxy(path: string): Promise<{ target: string }> {
  const folder = await temporaryFolder();
  const [socket, conf] = ['haproxy.sock', 'haproxy.cfg'].map((name) => join(folder, name));
  await writeFile(
    conf!,
    `global
  maxconn 64
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 1s
frontend told
  bind "unix@${socket}" accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst_port] %[fc_pp_authority] "
`,
  );
  await daemon(path, ['-db', '-f', conf!], socket!);
  return { target: `unix:${socket}` };
}

async function plainGet(port: number): Promise<{ text: string; localPort: number }> {
  const socket = connect({ host: '127.0.0.1', port });
  onTestFinished(() => void socket.destroy());
  socket.write('GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n');
  await new Promise((resolve) => socket.once('connect', resolve));
  const { localPort = 0 } = socket;
  return { text: (await readAll(socket)).toString(), localPort };
}

describe.each([
  // The version of Debian 12 does not report names.
  ['nginx', nginx, ''],
  ['haproxy', haproxy, 'web.localhost '],
] as const)('%s', (name, start, authority) => {
  it('learns who visits in mode stream', async (ctx) => {
    const path = await programFor(ctx, name);
    const { target } = await start(path);
    const { at, ca } = await published(target);
    const visitor = await visit(at, 'web.localhost', ca);
    const { localPort } = visitor;
    visitor.write('GET / HTTP/1.1\r\nHost: web.localhost\r\nConnection: close\r\n\r\n');
    expect((await readAll(visitor)).toString()).toContain(`127.0.0.1 ${localPort} ${at.port} ${authority}`);
  });

  it('learns a visitor’s address in mode tcp, and its own', async (ctx) => {
    const path = await programFor(ctx, name);
    const { target } = await start(path);
    const { port, update, runner } = await published(target, { mode: 'tcp' });
    const { text, localPort } = await plainGet(port);
    expect(text).toContain(`127.0.0.1 ${localPort} ${port} `);
    // The target requires the header, so it responds only with it.
    await update({ proxyProtocol: false });
    expect((await plainGet(port).catch(() => ({ text: '' }))).text).not.toContain('200 OK');
    await update({});
    expect((await plainGet(port)).text).toContain('200 OK');
    expect((await runner.status()).leases[0]?.targetError).toBeUndefined();
  });
});

it('is in the log of nginx', async (ctx) => {
  const path = await programFor(ctx, 'nginx');
  const { target, log } = await nginx(path);
  const { at, ca } = await published(target);
  expect((await get(at, 'web.localhost', ca)).status).toBe(200);
  await expect.poll(log).toMatch(/^127\.0\.0\.1 \d+ \d+$/m);
});

it('precedes the first byte, once per connection, and is of type LOCAL without a visitor', async () => {
  const { port, said } = await listening();
  const { at, ca } = await published(port, { alpn: 'auto' });
  // The probe.
  await expect.poll(() => said[0]?.toString('hex')).toMatch(new RegExp(`^${LOCAL}`));
  const visitor = await visit(at, 'web.localhost', ca);
  visitor.write('hello');
  await expect.poll(() => said[1]?.toString()).toMatch(/hello$/);
  const [, bytes] = said;
  expect(bytes!.subarray(0, 14).toString('hex')).toBe(`${SIGNATURE}2111`);
  expect(bytes!.subarray(16 + bytes!.readUInt16BE(14)).toString()).toBe('hello');
});

it('changes in place, and visitors stay connected', async () => {
  const { port, said } = await listening();
  const { at, ca, update } = await published(port, { alpn: ['http/1.1'], proxyProtocol: false });
  const early = await visit(at, 'web.localhost', ca);
  early.write('early');
  await expect.poll(() => String(said[0])).toBe('early');
  await update({ alpn: ['http/1.1'], proxyProtocol: true });
  const late = await visit(at, 'web.localhost', ca);
  late.write('late');
  await expect.poll(() => String(said[1])).toMatch(/late$/);
  expect(said[1]!.toString('hex')).toMatch(new RegExp(`^${SIGNATURE}21`));
  early.write(' and still here');
  await expect.poll(() => String(said[0])).toBe('early and still here');
});

/** A service that only listens: the bytes of each connection. */
async function listening(): Promise<{ port: number; said: Buffer[] }> {
  const said: Buffer[] = [];
  const port = await tcpService((socket) => {
    const index = said.push(Buffer.alloc(0)) - 1;
    socket.on('data', (chunk: Buffer) => {
      said[index] = Buffer.concat([said[index]!, chunk]);
    });
  });
  return { port, said };
}
