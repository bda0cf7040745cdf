import { mkdtemp, mkdir, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { openLocalCa, type LocalCa } from '../../certificates/local-ca.js';
import { confine, unconfine } from '../../lib/confined.js';
import { silent } from '../../lib/logger.js';
import { readCa } from '../relays/endpoint.js';
import { Registry, type RegistryOptions } from './registry.js';

const ADDRESS = '0x371531b8ED16256DE8a3f97A99BA7206788143e0';
const TWO = JSON.stringify({
  relays: ['https://a.example', { url: 'https://b.example:8443/', address: ADDRESS }],
});

let folder: string;
let ca: LocalCa;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portal-registry-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  ca = await openLocalCa(join(folder, 'ca'));
});

/** Serves a registry and returns its URL. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(await ca.issue(['localhost']), listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://localhost:${(server.address() as AddressInfo).port}/relays.json`;
}

function open(
  source: string,
  over: Partial<RegistryOptions> = {},
): Registry & { readonly changes: () => number } {
  let changes = 0;
  const registry = new Registry({
    source,
    cacheDir: join(folder, 'cache'),
    maxBytes: 10_000,
    reach: (url) => Promise.resolve({ url, ca: ca.certificatePem }),
    onChange: () => (changes += 1),
    log: silent,
    ...over,
    paces: { refreshMs: 20, retryMs: 20, checkMs: 20, fetchMs: 2_000, ...over.paces },
  });
  onTestFinished(() => registry.close());
  return Object.assign(registry, { changes: () => changes });
}

const urls = (registry: Registry): string[] => registry.relays.map(({ url }) => url);

const redirect =
  (location: string): RequestListener =>
  (_request, response) =>
    void response.writeHead(302, { location }).end();
const two: RequestListener = (_request, response) => void response.end(TWO);

describe('a registry', () => {
  it('is parsed: URLs in any notation, keys, each relay once', async () => {
    const text = JSON.stringify({
      relays: [
        'https://A.example:443/',
        'https://a.example',
        { url: 'https://b.example:8443', address: ADDRESS.toLowerCase() },
        'http://plain.example',
        'https://c.example/path',
        'https://me:pw@d.example',
        'https://10.0.0.1:8443',
        'https://[fe80::1]',
        { url: 'https://e.example', ca: './ca.pem' },
        { url: 'https://f.example', address: '0x12' },
        7,
        null,
      ],
    });
    const registry = open(await serve((_request, response) => response.end(text)));
    await registry.asked;
    expect(registry.error).toBeUndefined();
    expect(registry.relays).toEqual([
      { kind: 'url', url: 'https://a.example' },
      { kind: 'url', url: 'https://b.example:8443', address: ADDRESS },
    ]);
    expect(registry.status().skipped[0]).toMatch(/^entry 4: /);
  });

  it('that is broken or missing leaves the last valid copy, across restarts too', async () => {
    let answer = two;
    const source = await serve((request, response) => answer(request, response));
    const first = open(source);
    await first.asked;
    answer = (_request, response) => response.end('<html>');
    await expect.poll(() => first.error?.code).toBe('registry_invalid');
    answer = (_request, response) => response.writeHead(503).end();
    await expect.poll(() => first.error?.code).toBe('registry_unreachable');
    expect(urls(first)).toHaveLength(2);
    await first.close();

    const second = open(source);
    await second.loaded;
    expect(urls(second)).toEqual(['https://a.example', 'https://b.example:8443']);
    expect(second.error?.code).toBe('registry_unreachable');
    answer = (_request, response) => response.end('{"relays":[]}');
    await expect.poll(() => urls(second)).toEqual([]);
    expect(second.error).toBeUndefined();
  });

  it('is polled conditionally, and only changes are reported', async () => {
    const asked: (string | undefined)[] = [];
    const source = await serve((request, response) => {
      asked.push(request.headers['if-none-match']);
      if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
      else response.writeHead(200, { etag: '"1"' }).end(TWO);
    });
    const registry = open(source);
    await expect.poll(() => asked.length).toBeGreaterThan(3);
    expect(new Set(asked)).toEqual(new Set([undefined, '"1"']));
    expect(urls(registry)).toHaveLength(2);
    expect(registry.changes()).toBe(1);
  });

  it('follows a few redirects, but not many, and only to https', async () => {
    const end = await serve(two);
    const good = open(await serve(redirect(end)));
    await good.asked;
    expect(urls(good)).toHaveLength(2);
    const loop = open(await serve(redirect('/again')));
    await loop.asked;
    expect(loop.error?.code).toBe('registry_unreachable');
    const out = open(await serve(redirect('http://localhost/')));
    await out.asked;
    expect(out.error?.message).toContain('that is not https://');
  });

  it('limits the size and the time of a read', async () => {
    let sent = 0;
    const endless = open(
      await serve((_request, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write('x'.repeat(1_000))) sent += 1_000;
        };
        response.on('drain', more);
        more();
      }),
    );
    await endless.asked;
    expect(endless.error).toMatchObject({
      code: 'registry_invalid',
      message: expect.stringContaining('10000 bytes') as string,
    });
    expect(sent).toBeLessThan(10_000_000);
    // A server that sends a byte now and then would never finish.
    const slow = open(
      await serve((_request, response) => {
        const timer = setInterval(() => response.write(' '), 10);
        response.on('close', () => clearInterval(timer));
      }),
      { paces: { fetchMs: 100 } },
    );
    await slow.asked;
    expect(slow.error?.code).toBe('registry_unreachable');
  });

  it('uses the current list, or the saved copy if the list is slow', async () => {
    let answer = two;
    const source = await serve((request, response) => answer(request, response));
    const first = open(source);
    await first.asked;
    await first.close();
    answer = (_request, response) => void response.end('{"relays":["https://new.example"]}');
    const second = open(source);
    await second.loaded;
    expect(urls(second)).toEqual(['https://new.example']);
    await second.close();
    let answers!: () => void;
    answer = (_request, response) => (answers = (): void => void response.end(TWO));
    const third = open(source, { paces: { useCopyAfterMs: 10, refreshMs: 60_000 } });
    await third.loaded;
    expect(urls(third)).toEqual(['https://new.example']);
    await expect.poll(() => answers).toBeDefined();
    answers();
    await third.asked;
    expect(urls(third)).toHaveLength(2);
  });

  it('shares one timeout among all redirects, and rejects a redirect without a target', async () => {
    const slow = open(
      await serve((_request, response) => {
        setTimeout(() => response.writeHead(302, { location: '/on' }).end(), 70);
      }),
      { paces: { fetchMs: 100, retryMs: 60_000 } },
    );
    await slow.asked;
    expect(slow.error).toMatchObject({
      code: 'registry_unreachable',
      message: expect.stringContaining('timed out') as string,
    });
    const nowhere = open(await serve(redirect('https://[')));
    await nowhere.asked;
    expect(nowhere.error?.code).toBe('registry_unreachable');
  });

  it('uses the first entries of a list that is too long', async () => {
    const many = JSON.stringify({
      relays: Array.from({ length: 10_000 }, (_, index) => `https://r${index}.example`),
    });
    const registry = open(await serve((_request, response) => response.end(many)), { maxBytes: 1_000_000 });
    await registry.asked;
    expect(registry.relays).toHaveLength(256);
    expect(registry.status().skipped).toEqual(['it has 10000 entries, and only the first 256 are used']);
  });

  it('rejects a list that is nested too deeply, with the location', async () => {
    const registry = open(
      await serve((_request, response) => response.end(`{"relays":\n${'['.repeat(9_000)}`)),
    );
    await registry.asked;
    expect(registry.error).toMatchObject({
      code: 'registry_invalid',
      message: expect.stringMatching(/, line 2, column 64: nested more than 64 levels deep$/) as string,
    });
  });

  it('works without a saved copy', async () => {
    await writeFile(join(folder, 'cache'), 'in the way');
    const registry = open(await serve(two));
    await registry.asked;
    expect(urls(registry)).toHaveLength(2);
  });

  it('ignores the copy of another registry, and a broken copy', async () => {
    const source = await serve(two);
    const first = open(source);
    await first.asked;
    await first.close();
    const [file] = await readdir(join(folder, 'cache'));
    await writeFile(join(folder, 'cache', file!), '{"source":');
    const second = open(source);
    await second.asked;
    expect(urls(second)).toHaveLength(2);
  });
});

describe('a registry in a file', () => {
  it('is read before a saved copy is used', async () => {
    const file = join(folder, 'relays.json');
    await writeFile(file, TWO);
    const first = open(file);
    await first.asked;
    await first.close();
    await writeFile(file, '{"relays":["https://new.example"]}');
    const second = open(file);
    await second.loaded;
    expect(urls(second)).toEqual(['https://new.example']);
    expect(second.changes()).toBe(1);
  });

  it('names CAs only where the list itself may be', async () => {
    onTestFinished(unconfine);
    const [project, file] = [join(folder, 'project'), join(folder, 'project', 'relays.json')];
    await mkdir(project);
    await writeFile(join(folder, 'far.pem'), 'far');
    await writeFile(join(project, 'near.pem'), 'near');
    const list = [
      { url: 'https://a.example', ca: 'near.pem' },
      { url: 'https://b.example', ca: '../far.pem' },
    ];
    await writeFile(file, JSON.stringify({ relays: list }));
    confine(new Map([[file, { within: [await realpath(project)] }]]));
    onTestFinished(unconfine);
    const registry = open(file);
    await registry.loaded;
    const [near, far] = registry.relays.map(({ caFile }) => caFile!);
    expect(await readCa(near!)).toBe('near');
    await expect(readCa(far!)).rejects.toMatchObject({
      message: expect.stringContaining('is not in the folder of the relay list') as string,
    });
  });

  it('is watched, and keeps the previous list after a partial save, a missing file or a folder', async () => {
    const file = join(folder, 'relays.json');
    const registry = open(file);
    await registry.asked;
    expect(registry.error?.code).toBe('registry_unreachable');
    await writeFile(file, JSON.stringify({ relays: [{ url: 'https://a.example', ca: 'ca.pem' }] }));
    await expect
      .poll(() => registry.relays)
      .toEqual([{ kind: 'url', url: 'https://a.example', caFile: join(folder, 'ca.pem') }]);
    await writeFile(file, TWO.slice(0, 20));
    await expect.poll(() => registry.error?.code).toBe('registry_invalid');
    expect(urls(registry)).toEqual(['https://a.example']);
    await writeFile(file, TWO);
    await expect.poll(() => urls(registry)).toHaveLength(2);
    expect(registry.error).toBeUndefined();
    await rm(file);
    await expect.poll(() => registry.error?.code).toBe('registry_unreachable');
    await mkdir(file);
    await expect.poll(() => registry.error?.code).toBe('registry_invalid');
    expect(urls(registry)).toHaveLength(2);
  });
});
