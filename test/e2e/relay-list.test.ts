/** `portal list`, and pools as people run them. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { freePorts } from '../support/ports.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { httpService, relay, type TestRelay } from '../support/world.js';
import { jsonLines, Person, type Line } from './cli-support.js';

let person: Person;
let target: number;
beforeEach(async () => {
  person = await Person.create();
  ({ port: target } = await httpService((_request, response) => response.end('here')));
});

const write = (text: string, name = 'portal.yaml'): Promise<void> =>
  writeFile(join(person.folder, name), text);
const list = async (): Promise<Line[]> => jsonLines((await person.run(['list', '--json'])).stdout);
const entry = ({ url, ca }: TestRelay): string => `{ url: '${url}', ca: '${ca.certificateFile}' }`;
const writeRegistry = (...relays: unknown[]): Promise<void> =>
  write(JSON.stringify({ relays }), 'relays.json');

it('shows every relay, its source and state, and whether its key is in the lock', async () => {
  const fixed = await relay({ ports: { tcp: 'any' } });
  const [listed, wrong] = [await relay({ ca: fixed.ca }), await relay({ ca: fixed.ca })];
  const [gone] = await freePorts(1);
  const ca = fixed.ca.certificateFile;
  await writeRegistry(
    { url: listed.url, ca },
    { url: wrong.url, address: generateIdentity().address, ca },
    `https://localhost:${gone}`,
    { url: fixed.url, ca },
    'not a URL',
  );
  await write(
    `version: 1\nrelays: { urls: [${entry(fixed)}], registry: relays.json, maxActive: 1 }\nservices: { web: ${target} }\n`,
  );
  const alone = await list();
  expect(alone.map(({ event, url }) => url ?? event)).toEqual([
    fixed.url,
    listed.url,
    wrong.url,
    `https://localhost:${gone}`,
    'registry',
  ]);
  expect(alone[0]).toMatchObject({
    source: 'urls',
    health: 'healthy',
    address: fixed.address,
    capabilities: expect.arrayContaining(['stream', 'http', 'hostname', 'tcp']) as string[],
    locked: false,
    inUse: false,
  });
  expect(alone[1]).toMatchObject({
    source: 'registry',
    health: 'healthy',
    rttMs: expect.any(Number) as number,
  });
  expect(alone[2]).toMatchObject({ health: 'unhealthy', error: { code: 'relay_key_changed' } });
  expect(alone[3]).toMatchObject({ health: 'unhealthy', error: { code: 'relay_unreachable' } });
  expect(alone[4]).toMatchObject({ source: join(person.folder, 'relays.json'), relays: 4 });

  const plan = await person.run(['plan']);
  expect({ code: plan.code, reported: plan.stderr.includes('and up to 1 more relays') }).toEqual({
    code: 3,
    reported: true,
  });
  const doctor = jsonLines((await person.run(['doctor', '--json'])).stdout);
  const found = doctor.filter(({ about }) => about === 'more relays');
  expect(found.map(({ check, level }) => `${String(check)} ${String(level)}`)).toEqual([
    'relays.registry ok',
    'relays.candidate warning',
    'relays.candidate warning',
    'relays.candidates ok',
  ]);

  person.downAfterTest();
  expect((await person.run(['up', '--wait'])).code).toBe(0);
  // The key of a relay that no service waits for is written a moment after the services are ready.
  await expect
    .poll(async () => (await list()).slice(0, 2))
    .toMatchObject([
      { url: fixed.url, health: 'healthy', locked: true, inUse: true },
      { url: listed.url, source: 'registry', health: 'healthy', locked: true, inUse: true },
    ]);
  const running = await list();
  expect(running[2]).toMatchObject({ url: wrong.url, health: 'unhealthy', locked: false, inUse: false });
  const table = await person.run(['list']);
  expect(table.stdout).toMatch(/^RELAY +SOURCE +HEALTH +ROUND TRIP +IN USE +LOCKED +KEY +SERVES\n/);
  expect((await person.run(['status'])).stdout).toContain('relays.json: 4 relays');
});

it('queries no relay of a chain that must not learn the agent’s address', async () => {
  const [entryRelay, exit] = [await relay(), await relay()];
  await write(
    `version: 1\nchains: { far: [${entry(entryRelay)}, ${entry(exit)}] }\nservices: { web: { target: ${target}, via: far } }\n`,
  );
  expect(await list()).toMatchObject([
    { url: entryRelay.url, source: 'chain', health: 'unknown' },
    { url: exit.url, source: 'chain', health: 'healthy' },
  ]);
});

it('a pool uses no relay outside portal.lock when that is frozen', async () => {
  const [known, strange] = [await relay(), await relay()];
  await writeRegistry(...[known, strange].map(({ url, ca }) => ({ url, ca: ca.certificateFile })));
  await write(`version: 1\nrelays: { registry: relays.json, maxActive: 2 }\nservices: { web: ${target} }\n`);
  const lock = `version: 1\nrelays:\n  ${known.url}: "${known.address}"\n`;
  await write(lock, 'portal.lock');
  const up = person.start(['up', '--frozen', '--json']);
  const ready = await up.event('ready');
  expect(ready['services']).toMatchObject({
    web: { urls: [`https://web.localhost:${known.port}`], tcp: [], udp: [] },
  });
  expect(strange.counts().sessions).toBe(0);
  expect(await readFile(join(person.folder, 'portal.lock'), 'utf8')).toBe(lock);
});

it('a relay that freezes is replaced before its connection times out', async () => {
  const ports = await freePorts(2);
  const homes = ports.map((port) => `${person.folder}/relay-${port}`);
  const started = ports.map((port, index) =>
    person.start(['relay', '--listen', `127.0.0.1:${port}`, '--json'], {
      env: { PORTAL_HOME: homes[index] },
    }),
  );
  const listening = await Promise.all(started.map((one) => one.event('listening')));
  await writeRegistry(...listening.map(({ url, ca }) => ({ url, ca })));
  await write(`version: 1\nrelays: { registry: relays.json, maxActive: 1 }\nservices: { web: ${target} }\n`);
  const up = person.start(['up', '--json']);
  const first = await up.event('lease', ({ phase }) => phase === 'ready');
  await up.event('ready');
  const index = listening.findIndex(({ url }) => url === first['relay']);
  const lines = jsonLines(up.stdout).length;
  started[index]!.kill('SIGSTOP');
  const second = await up.event('lease', ({ phase }, at) => at >= lines && phase === 'ready');
  expect(second['relay']).toBe(listening[1 - index]!['url']);
  // It did not wait for the session's timeout, which takes several heartbeats.
  const between = jsonLines(up.stdout).slice(lines);
  expect(between.filter(({ phase }) => phase === 'retrying')).toEqual([]);
  started[index]!.kill('SIGCONT');
});

it('reports everywhere that a service has no relay, and why', async () => {
  const [gone] = await freePorts(1);
  const source = `https://localhost:${gone}/relays.json`;
  await write(`version: 1\nrelays: { registry: '${source}' }\nservices: { web: ${target} }\n`);
  const waited = await person.run(['up', '--wait', '--timeout', '2']);
  expect(waited).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/not ready: web \(.*ECONNREFUSED.*\[timeout\]/) as string,
  });
  const up = person.start(['up', '--json']);
  expect(await up.event('unplaced')).toMatchObject({
    service: 'web',
    error: {
      code: 'no_relay',
      message: expect.stringContaining('ECONNREFUSED') as string,
      hint: expect.stringContaining('relays: { registry }') as string,
    },
  });
  const status = await person.run(['status']);
  expect(status.stdout).toMatch(/web +no relay +\d+s\n.*ECONNREFUSED.*\[no_relay\]/);
  const doctor = jsonLines((await person.run(['doctor', '--json'])).stdout);
  expect(doctor.find(({ check }) => check === 'agent.lease')).toMatchObject({
    level: 'problem',
    message: expect.stringContaining('web has no relay') as string,
  });
  const logs = await person.run(['logs']);
  expect(logs.stdout).toContain('web: no relay');
});
