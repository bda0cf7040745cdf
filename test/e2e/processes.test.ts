/** Relay and agents as separate processes, each with its own PORTAL_HOME, and what happens when they are killed. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { httpsGet } from '../support/visitor.js';
import { httpService } from '../support/world.js';
import { jsonLines, Person, type Line, type Running } from './cli-support.js';

interface RelayProcess {
  readonly running: Running;
  readonly url: string;
  readonly ca: string;
}

async function startRelay(operator: Person, listen = '127.0.0.1:0'): Promise<RelayProcess> {
  const running = operator.start(['relay', '--listen', listen, '--json', '--log-level', 'error']);
  const { url, ca } = await running.event('listening');
  return { running, url: String(url), ca: String(ca) };
}

async function kill9({ running, url }: RelayProcess): Promise<string> {
  running.kill('SIGKILL');
  await running.finished;
  return `127.0.0.1:${new URL(url).port}`;
}

async function writeConfig(person: Person, relay: RelayProcess, services: object): Promise<void> {
  const config = { version: 1, relays: { urls: [{ url: relay.url, ca: relay.ca }] }, services };
  // JSON is YAML.
  await writeFile(join(person.folder, 'portal.yaml'), JSON.stringify(config));
}

/** Starts `portal up` and waits until all is ready. */
async function up(person: Person): Promise<{ running: Running; url: string; ca: string }> {
  const running = person.start(['up', '--json']);
  const { ca } = await running.event('started');
  const ready = await running.event('ready');
  const [first] = Object.values(ready['services'] as Record<string, { urls: string[] }>);
  return { running, url: first!.urls[0]!, ca: String(ca) };
}

/** Reads only events from now on. */
function fromNow(running: Running): (type: string, match: (line: Line) => boolean) => Promise<Line> {
  const seen = jsonLines(running.stdout).length;
  return (type, match) => running.event(type, (line, index) => index >= seen && match(line));
}

async function leaseOf(person: Person): Promise<{ phase: string; url: string }> {
  const { stdout } = await person.run(['status', '--json']);
  const [status] = jsonLines(stdout);
  return (status!['leases'] as { phase: string; url: string }[])[0]!;
}

const phaseIs = (phase: string) => (line: Line) => line['phase'] === phase;

test('a relay that is killed and restarted gets its agent back, on the same hostname', async () => {
  const [operator, person] = [await Person.create(), await Person.create()];
  const relay = await startRelay(operator);
  const { port } = await httpService((_request, response) => response.end('still me'));
  await writeConfig(person, relay, { web: port });
  const agent = await up(person);
  expect(await httpsGet(agent.url, agent.ca)).toBe('still me');

  const next = fromNow(agent.running);
  const address = await kill9(relay);
  await next('lease', phaseIs('retrying'));
  expect((await leaseOf(person)).phase).toBe('retrying');
  await startRelay(operator, address);
  await next('lease', phaseIs('ready'));
  expect(await leaseOf(person)).toMatchObject({ phase: 'ready', url: agent.url });
  expect(await httpsGet(agent.url, agent.ca)).toBe('still me');
});

test('status never reports ready while the relay is frozen, and reports it again once it resumes', async () => {
  const [operator, person] = [await Person.create(), await Person.create()];
  const relay = await startRelay(operator);
  const { port } = await httpService((_request, response) => response.end('awake'));
  await writeConfig(person, relay, { web: port });
  const agent = await up(person);

  const next = fromNow(agent.running);
  relay.running.kill('SIGSTOP');
  onTestFinished(() => relay.running.kill('SIGCONT'));
  expect((await leaseOf(person)).phase).not.toBe('ready');
  relay.running.kill('SIGCONT');
  await next('lease', phaseIs('ready'));
  expect(await leaseOf(person)).toMatchObject({ phase: 'ready', url: agent.url });
  expect(await httpsGet(agent.url, agent.ca)).toBe('awake');
});

test('an agent that is killed and restarted has its name back immediately', async () => {
  const [operator, person] = [await Person.create(), await Person.create()];
  const relay = await startRelay(operator);
  const { port } = await httpService((_request, response) => response.end('second life'));
  await writeConfig(person, relay, { web: port });
  const first = await up(person);
  first.running.kill('SIGKILL');
  await first.running.finished;
  const second = await up(person);
  expect(second.url).toBe(first.url);
  expect(await httpsGet(second.url, second.ca)).toBe('second life');
});

test('a name is taken while in use and reserved afterwards, across a kill -9 of the relay', async () => {
  const [operator, owner, rival] = [await Person.create(), await Person.create(), await Person.create()];
  const relay = await startRelay(operator);
  const { port } = await httpService((_request, response) => response.end('mine'));
  for (const person of [owner, rival]) await writeConfig(person, relay, { web: port });
  const agent = await up(owner);

  const refusal = async (): Promise<unknown> => {
    const { code, stdout } = await rival.run(['up', '--json']);
    expect(code).toBe(1);
    return jsonLines(stdout).find((line) => line.event === 'lease' && line['phase'] === 'failed')?.['error'];
  };
  expect(await refusal()).toMatchObject({
    code: 'name_taken',
    message: expect.stringContaining('Use another name, for example') as string,
  });

  agent.running.kill('SIGTERM');
  expect((await agent.running.finished).code).toBe(0);
  expect(await refusal()).toMatchObject({ code: 'name_reserved' });
  await startRelay(operator, await kill9(relay));
  expect(await refusal()).toMatchObject({ code: 'name_reserved' });
  expect((await up(owner)).url).toBe(agent.url);
});
