import { isIPv4 } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { startOn } from '../support/namespaces.js';
import { machinesInARow } from '../support/row.js';
import { jsonLines, Person } from './cli-support.js';

/**
 * What each party of a chain learns, from every packet that it sees and every line of its log. Agent, exit, entry and
 * visitor are programs on separate machines in a row. Each can reach only its neighbours.
 */

const here = (path: string): string => fileURLToPath(new URL(`../support/${path}`, import.meta.url));
const [VISITOR, SERVICE, UDP_PEER] = ['far-visitor.mjs', 'far-service.mjs', 'udp-peer.mjs'].map(here);

/** An address as packets contain it. */
function bytesOf(address: string): Buffer {
  expect(isIPv4(address)).toBe(true);
  return Buffer.from(address.split('.').map(Number));
}

it(
  'hides the agent from the entry, and names and visitors from the exit',
  { timeout: 60_000 },
  async (context): Promise<void> => {
    const row = await machinesInARow(4, ([, exit, entry]) => [
      // The agent cannot even resolve the entry's name.
      { 'exit.test': exit!.left },
      { 'entry.test': entry!.left },
      {},
      {
        'hidden-web.entry.test': entry!.right,
        'hidden-app.entry.test': entry!.right,
        'entry.test': entry!.right,
      },
    ]);
    if ('skip' in row) {
      context.skip(row.skip);
      return;
    }
    const [agent, exit, entry, visitor] = row as [
      (typeof row)[0],
      (typeof row)[0],
      (typeof row)[0],
      (typeof row)[0],
    ];
    const [person, ofExit, ofEntry] = [await Person.create(), await Person.create(), await Person.create()];
    const recordings = [await agent.record(), await exit.record(), await entry.record()];

    const common = ['relay', '--json', '--log-level', 'debug', '--listen', '0.0.0.0:8443'];
    const ports = ['--tcp-ports', '20000-20009', '--udp-ports', '20000-20009'];
    const entryRelay = ofEntry.start([...common, '--domain', 'entry.test', ...ports], {
      within: entry.within,
    });
    const entryAt = await entryRelay.event('listening');
    const peer = ['--peer', String(entryAt['url']), '--peer-ca', String(entryAt['ca'])];
    const exitRelay = ofExit.start([...common, '--domain', 'exit.test', ...peer], { within: exit.within });
    const exitAt = await exitRelay.event('listening');
    await exitRelay.line(/peer verified/);

    const local = JSON.parse(await startOn(agent, SERVICE!)) as { http: number; tcp: number };
    const echo = JSON.parse(await startOn(agent, UDP_PEER!, 'echo')) as { port: number };
    const chain = [entryAt, exitAt].map(({ url, ca }) => ({ url, ca }));
    const config = {
      version: 1,
      chains: { private: chain },
      services: {
        'hidden-web': { target: local.http, via: 'private' },
        'hidden-app': { mode: 'http', target: local.http, via: 'private' },
        'hidden-tcp': { mode: 'tcp', target: local.tcp, via: 'private' },
        'hidden-udp': { mode: 'udp', target: echo.port, via: 'private' },
      },
    };
    await writeFile(join(person.folder, 'portal.yaml'), JSON.stringify(config));
    const up = person.start(['up', '--json'], { within: agent.within });
    const ready = await up.event('ready');
    const services = ready['services'] as Record<string, { urls: string[]; tcp: string[]; udp: string[] }>;

    for (const name of ['hidden-web', 'hidden-app'])
      expect(await startOn(visitor, VISITOR!, 'https', services[name]!.urls[0]!)).toBe(
        `200 hello ${name}.entry.test:8443`,
      );
    const [, tcpPort] = services['hidden-tcp']!.tcp[0]!.split(':');
    expect(await startOn(visitor, VISITOR!, 'tcp', 'entry.test', tcpPort!, 'hidden words')).toBe(
      'hidden words',
    );
    const [, udpPort] = services['hidden-udp']!.udp[0]!.split(':');
    const requested = JSON.parse(
      await startOn(visitor, UDP_PEER!, 'ask', entry.right, udpPort!, '20'),
    ) as object;
    expect(requested).toMatchObject({ answered: 20 });
    const [status] = jsonLines((await person.run(['status', '--json'])).stdout);
    const leases = status!['leases'] as { service: string; provenAt?: string }[];
    // A visit verified each, except for datagrams.
    expect(leases.filter(({ provenAt }) => provenAt === undefined).map(({ service }) => service)).toEqual([
      'hidden-udp',
    ]);
    const identity = String(status!['identity']);
    await person.run(['down']);
    await up.finished;

    const [ofAgentWire, ofExitWire, ofEntryWire] = await Promise.all(recordings.map((stop) => stop()));
    for (const relay of [exitRelay, entryRelay]) relay.kill('SIGKILL');
    const [exitLog, entryLog] = (await Promise.all([exitRelay.finished, entryRelay.finished])).map(
      ({ stderr }) => stderr,
    );

    // The recordings are valid: each contains the parties that it must contain.
    expect(ofAgentWire!.includes(bytesOf(exit.left))).toBe(true);
    expect(ofExitWire!.includes('exit.test')).toBe(true);
    expect(ofExitWire!.includes(bytesOf(agent.right))).toBe(true);
    expect(ofExitWire!.includes('portal-hops: 1')).toBe(true);
    expect(ofEntryWire!.includes('hidden-web.entry.test')).toBe(true);
    expect(ofEntryWire!.includes(bytesOf(visitor.left))).toBe(true);
    expect(entryLog).toContain('hidden-web.entry.test');
    expect(entryLog).toContain(exit.right);
    expect(exitLog).toContain(agent.right);

    // The agent connects only to the exit, and resolves no other name.
    expect(ofAgentWire!.includes(bytesOf(entry.left))).toBe(false);
    expect(ofAgentWire!.includes(bytesOf(entry.right))).toBe(false);
    expect(ofAgentWire!.includes('\x05entry\x04test')).toBe(false);
    // The entry never learns the agent's address.
    expect(ofEntryWire!.includes(bytesOf(agent.right))).toBe(false);
    expect(ofEntryWire!.includes(agent.right)).toBe(false);
    expect(entryLog).not.toContain(agent.right);
    // The exit learns no hostname, name, visitor or owner.
    expect(ofExitWire!.includes('hidden')).toBe(false);
    expect(ofExitWire!.includes(bytesOf(visitor.left))).toBe(false);
    expect(exitLog).not.toContain('hidden');
    expect(exitLog).not.toContain(visitor.left);
    expect(exitLog).not.toContain(identity);
    expect(entryLog).toContain(identity);
  },
);
