/** `--metrics` of `portal up` and `portal expose`. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { AGENT_METRICS } from '../../src/reconcile/metrics.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { samples } from '../support/samples.js';
import { httpsGet } from '../support/visitor.js';
import { httpService } from '../support/world.js';
import { Person, type Line } from './cli-support.js';

let person: Person;
beforeEach(async () => {
  person = await Person.create();
});

const service = () => httpService((_request, response) => response.end('hello'));

const config = (services: object): Promise<void> =>
  writeFile(
    join(person.folder, 'portal.yaml'),
    `version: 1\nrelays: { embedded: { port: 0 } }\nservices: ${JSON.stringify(services)}\n`,
  );

async function page(started: Line, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(new URL(path, String(started['metrics'])));
  return { status: response.status, text: await response.text() };
}

test('show the services, their visitors and targets, and nothing of a visitor', async () => {
  const { port } = await service();
  const nothing = await freePort();
  await config({ web: { target: port, mode: 'http', access: { pin: '123456' } }, api: nothing });
  const up = person.start(['up', '--json', '--metrics', '127.0.0.1:0']);
  const started = await up.event('started');
  const ready = await up.event('ready');
  const read = async (): Promise<Map<string, number>> => samples((await page(started, '/metrics')).text);
  const url = (ready['services'] as Record<string, { urls: string[] }>)['web']!.urls[0]!;
  await httpsGet(`${url}/secret-path`, String(started['ca'])).catch(() => undefined);

  await eventually(async () => {
    const found = await read();
    const of = (name: string, labels: string): number | undefined =>
      [...found].find(([series]) => series.startsWith(`${name}{${labels}`))?.[1];
    expect(found.get('portal_agent_ready')).toBe(1);
    expect(of('portal_agent_relay_connected', 'relay=')).toBe(1);
    expect(of('portal_agent_lease_ready', 'service="web"')).toBe(1);
    expect(of('portal_agent_requests_total', 'service="web"')).toBeGreaterThan(0);
    expect(of('portal_agent_visitor_bytes_total', 'service="web"')).toBeGreaterThan(0);
    expect(of('portal_agent_target_up', `service="api",target="localhost:${nothing}"`)).toBe(0);
    expect(of('portal_agent_target_up', `service="web",target="localhost:${port}"`)).toBe(1);
    expect(of('portal_agent_build_info', 'version=')).toBe(1);
  });
  const { text } = await page(started, '/metrics');
  for (const { name } of AGENT_METRICS) expect(text).toContain(`# HELP ${name} `);
  expect(text).not.toContain('secret-path');
  expect(text).not.toContain('123456');
});

test('/ready follows the leases, /healthz the process', async () => {
  const { port } = await service();
  const silent = await freePort();
  await writeFile(
    join(person.folder, 'portal.yaml'),
    `version: 1\nrelays: { urls: ["https://127.0.0.1:${silent}"] }\nservices: { web: ${port} }\n`,
  );
  const up = person.start(['up', '--yes', '--json', '--metrics', '0']);
  const started = await up.event('started');
  expect(await page(started, '/healthz')).toEqual({ status: 200, text: 'ok\n' });
  await eventually(async () => {
    const { status, text } = await page(started, '/ready');
    expect(status).toBe(503);
    expect(text).toMatch(/^web is \w+: .+\n$/);
  });
  await config({ web: port });
  await eventually(async () => expect(await page(started, '/ready')).toEqual({ status: 200, text: 'ok\n' }));
  expect((await page(started, '/nothing')).status).toBe(404);
});

test('an address in use ends the start with a hint, and bad ones are usage errors', async () => {
  const { port } = await service();
  await config({ web: port });
  const taken = await person.run(['up', '--metrics', `127.0.0.1:${port}`]);
  expect(taken.code).toBe(1);
  expect(taken.stderr).toMatch(`127.0.0.1:${port} is in use`);
  expect(taken.stderr).toMatch(/another port with --metrics/);
  const wrong = await person.run(['expose', `${port}`, '--metrics', 'nonsense:x']);
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toMatch('is not an address to listen on');
});

test('expose serves them too, and says where', async () => {
  const { port } = await service();
  const expose = person.start(['expose', `${port}`, '--metrics', '127.0.0.1:0']);
  const line = await expose.line(/metrics at http:/);
  const [at] = /http:\S+/.exec(line)!;
  expect((await fetch(new URL('/healthz', at))).status).toBe(200);
});
