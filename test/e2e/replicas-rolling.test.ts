import { cp, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openLocalCa, type LocalCa } from '../../src/certificates/local-ca.js';
import { eventually } from '../support/eventually.js';
import { get, httpService, visit } from '../support/world.js';
import { Person, PROCESSES, type Running } from './cli-support.js';

/** Agents of one identity, as processes, that restart or crash while visitors come all the time. */

interface At {
  readonly url: string;
  readonly port: number;
  readonly ca: string;
}

async function relay(...args: string[]): Promise<At> {
  const operator = await Person.create();
  const running = operator.start(['relay', '--json', '--listen', '127.0.0.1:0', ...args]);
  const { url, ca } = (await running.event('listening')) as unknown as { url: string; ca: string };
  return { url, ca, port: Number(new URL(url).port) };
}

/** Agents with one identity and one local CA. Each publishes `target` as `web`. */
class Agents {
  readonly running: Running[] = [];
  readonly ca: LocalCa;
  readonly #people: readonly Person[];

  private constructor(people: readonly Person[], ca: LocalCa) {
    this.#people = people;
    this.ca = ca;
  }

  static async start(at: At, count: number, target: number, mode: string): Promise<Agents> {
    const people = await Promise.all(Array.from({ length: count }, () => Person.create(PROCESSES)));
    const [first, ...others] = people;
    await first!.run(['identity', 'new']);
    const ca = await openLocalCa(join(first!.home, 'ca'));
    for (const person of others) await cp(first!.home, person.home, { recursive: true });
    for (const person of people)
      await writeFile(
        join(person.folder, 'portal.yaml'),
        JSON.stringify({
          version: 1,
          relays: { urls: [{ url: at.url, ca: at.ca }] },
          services: { web: { target, mode, replicas: 'spread' } },
        }),
      );
    const agents = new Agents(people, ca);
    for (let index = 0; index < count; index++) await agents.up(index);
    return agents;
  }

  /** Starts an agent. Resolves when it serves. */
  async up(index: number): Promise<void> {
    const running = this.#people[index]!.start(['up', '--json', '--yes']);
    this.running[index] = running;
    await running.event('ready');
  }

  async stop(index: number, signal: NodeJS.Signals): Promise<void> {
    this.running[index]!.kill(signal);
    await this.running[index]!.finished;
  }
}

/** New visitors, several at a time, until `stop`. */
function visitors(at: At, ca: LocalCa, atOnce = 4) {
  const failures: string[] = [];
  let served = 0;
  const stopping = new AbortController();
  const one = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const { status, text } = await get(at, 'web.localhost', ca);
        if (status === 200) served++;
        else failures.push(text.slice(0, 200));
      } catch (error) {
        failures.push(String(error));
      }
    }
  };
  const all = Promise.all(Array.from({ length: atOnce }, one));
  onTestFinished(() => stopping.abort());
  return {
    failures,
    /** Waits for `count` more. */
    more: async (count: number): Promise<void> => {
      const before = served;
      await eventually(() => expect(served + failures.length).toBeGreaterThanOrEqual(before + count));
    },
    stop: async (): Promise<{ served: number; failures: readonly string[] }> => {
      stopping.abort();
      await all;
      return { served, failures };
    },
  };
}

/** One request of a visitor that keeps its connection. Returns the response; rejects if the connection ends before. */
async function request(socket: Socket): Promise<string> {
  let text = '';
  socket.write('GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n');
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error(`the connection ended after ${JSON.stringify(text)}`));
    socket.once('close', ended).once('end', ended);
    const take = (chunk: Buffer): void => {
      text += String(chunk);
      if (!text.endsWith('hello')) return;
      socket.off('close', ended).off('end', ended).off('data', take);
      resolve(text);
    };
    socket.on('data', take);
  });
}

/**
 * Visitors that send request after request on one connection, and open another one only after a response that announces the end.
 */
function keepAliveVisitors(at: At, ca: LocalCa, count: number) {
  const failures: string[] = [];
  let served = 0;
  const stopping = new AbortController();
  const one = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const socket = await visit(at, 'web.localhost', ca);
        socket.on('error', () => undefined);
        for (let isLast = false; !isLast; served++)
          isLast = /\r\nconnection: close\r\n/i.test(await request(socket)) || stopping.signal.aborted;
        socket.destroy();
      } catch (error) {
        failures.push(String(error));
      }
    }
  };
  const all = Promise.all(Array.from({ length: count }, one));
  onTestFinished(() => stopping.abort());
  return {
    stop: async (): Promise<{ served: number; failures: readonly string[] }> => {
      stopping.abort();
      await all;
      return { served, failures };
    },
  };
}

describe.each([
  ['a relay', 'stream', []],
  ['a relay', 'http', []],
  ['a relay with two workers', 'http', ['--workers', '2']],
] as const)('agents of one name at %s, in mode %s', (_what, mode, args) => {
  it('restart one after another without a lost visitor', async () => {
    const at = await relay(...args);
    const target = await httpService((_request, response) => response.end('hello'));
    const agents = await Agents.start(at, 3, target.port, mode);
    const coming = visitors(at, agents.ca);
    const staying = keepAliveVisitors(at, agents.ca, 6);
    await coming.more(20);
    for (const index of [0, 1, 2]) {
      await agents.stop(index, 'SIGTERM');
      await coming.more(20);
      await agents.up(index);
      await coming.more(20);
    }
    const { failures, served } = await coming.stop();
    expect(failures).toEqual([]);
    expect(served).toBeGreaterThanOrEqual(140);
    const kept = await staying.stop();
    expect(kept.failures).toEqual([]);
    expect(kept.served).toBeGreaterThan(6);
  });
});

it('only the connected visitors of an agent that is killed are lost', async () => {
  const at = await relay();
  const open: ServerResponse[] = [];
  const target = await httpService((_request, response) => {
    response.write('begun');
    open.push(response);
  });
  const agents = await Agents.start(at, 3, target.port, 'stream');
  const connected = [];
  for (let index = 0; index < 6; index++) {
    const socket = await visit(at, 'web.localhost', agents.ca);
    socket.on('error', () => undefined);
    const lost = new Promise((resolve) => socket.once('close', () => resolve('lost')));
    socket.write('GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n');
    await heard(socket, 'begun');
    connected.push({ socket, lost });
  }
  await agents.stop(1, 'SIGKILL');
  const outcomes = connected.map(({ socket, lost }) => Promise.race([lost, heard(socket, 'still here')]));
  for (const response of open) response.write('still here');
  const lost = (await Promise.all(outcomes)).filter((one) => one === 'lost');
  expect(lost).toHaveLength(2);
  for (let index = 0; index < 6; index++) {
    const socket = await visit(at, 'web.localhost', agents.ca);
    socket.write('GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n');
    await heard(socket, 'begun');
  }
});

/** Resolves once `text` arrives. */
async function heard(socket: Socket, text: string): Promise<string> {
  let all = '';
  return new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      all += chunk.toString();
      if (all.includes(text)) resolve(text);
    });
  });
}
