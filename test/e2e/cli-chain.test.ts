import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { httpsGet } from '../support/visitor.js';
import { httpService } from '../support/world.js';
import { jsonLines, Person, type Line } from './cli-support.js';

/** Chains as people type and read them. One person runs everything, and owns the relays' CA. */

async function relayOf(person: Person, name: string, ...args: string[]) {
  const common = ['--listen', '127.0.0.1:0', '--data-dir', name, '--json', '--log-level', 'info'];
  const running = person.start(['relay', ...common, ...args]);
  const { url, ca } = await running.event('listening');
  return { running, url: String(url), ca: String(ca) };
}

it('expose --chain uses a relay that names its peer', async () => {
  const person = await Person.create();
  const entry = await relayOf(person, 'entry');
  const exit = await relayOf(person, 'exit', '--peer', entry.url);
  await exit.running.line(/peer verified/);
  const { port } = await httpService((_request, response) => response.end('over a chain'));
  const expose = person.start([
    'expose',
    String(port),
    '--name',
    'app',
    '--chain',
    `${entry.url},${exit.url}`,
    '--json',
  ]);
  const { ca } = await expose.event('started');
  const ready = await expose.event('ready');
  const [url] = (ready['services'] as Record<string, { urls: string[] }>)['app']!.urls;
  expect(url).toBe(entry.url.replace('localhost', 'app.localhost'));
  expect(await httpsGet(url!, String(ca))).toBe('over a chain');
  // It starts no embedded relay.
  expect(jsonLines(expose.stdout).filter(({ relay }) => String(relay).startsWith('embedded'))).toEqual([]);
  expose.kill('SIGTERM');
  expect((await expose.finished).code).toBe(0);
});

it('expose fails for a chain that cannot be formed, and names the relay and the missing peer', async () => {
  const person = await Person.create();
  const [entry, exit] = [await relayOf(person, 'entry'), await relayOf(person, 'exit')];
  const { code, stderr } = await person.run(['expose', '3000', '--chain', `${entry.url},${exit.url}`]);
  expect(code).toBe(1);
  expect(stderr).toContain(`${exit.url} does not forward to ${new URL(entry.url).host}`);
});

it.each([
  [
    ['relay', '--peer', 'http://entry.example.com'],
    '--peer: http://entry.example.com is not an https:// URL',
  ],
  [['relay', '--trust-peer', 'https://entry.example.com'], '--peer-ca and --trust-peer need --peer'],
  [
    ['relay', '--peer', 'https://a.example.com', '--trust-peer', 'https://b.example.com'],
    '--trust-peer: https://b.example.com is not a --peer',
  ],
  [['relay', '--peer', 'https://a.example.com', '--peer-ca', 'no.pem'], 'no.pem does not exist'],
  [['expose', '1', '--chain', 'https://a.example.com'], 'needs at least 2 entries'],
])('%j is a usage error', async (args, message) => {
  const person = await Person.create();
  const { code, stderr } = await person.run(args);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
});

it('doctor connects only to the exit, and reports what it says about the next relay', async () => {
  const person = await Person.create();
  const { port } = await httpService((_request, response) => response.end('hello'));
  let knocks = 0;
  const stranger = createServer((socket) => {
    knocks++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void stranger.close());
  const hidden = `https://localhost:${(stranger.address() as AddressInfo).port}`;
  const entry = await relayOf(person, 'entry');
  const exit = await relayOf(person, 'exit', '--peer', entry.url);
  await exit.running.line(/peer verified/);
  const checked = async (first: string): Promise<Line[]> => {
    const config = {
      version: 1,
      chains: {
        private: [
          { url: first, ca: entry.ca },
          { url: exit.url, ca: exit.ca },
        ],
      },
      services: { app: { target: port, via: 'private' } },
    };
    await writeFile(join(person.folder, 'portal.yaml'), JSON.stringify(config));
    return jsonLines((await person.run(['doctor', '--json'])).stdout).filter(({ about }) =>
      String(about).startsWith('chain '),
    );
  };
  const bad = await checked(hidden);
  expect(bad.find(({ level }) => level === 'problem')).toMatchObject({
    check: 'chain.hop',
    message: `${exit.url} does not forward to ${hidden}, or cannot reach it now`,
  });
  expect(knocks).toBe(0);
  const good = await checked(entry.url);
  expect(good.map(({ check }) => check)).toContain('chain.hidden');
  expect(good.filter(({ level }) => level === 'problem')).toEqual([]);
  const plan = await person.run(['plan']);
  expect(plan.stdout).toContain(`${entry.url} ← ${exit.url}`);
});
