/** Names of relays in a chain: the previous relay resolves them, and existing connections do not need them again. */
import dns from 'node:dns';
import { expect, it, onTestFinished, vi } from 'vitest';
import { chain } from '../support/chain.js';
import { agent, desired, get, httpService, relay, service } from '../support/world.js';

type Answer = (error: Error | null, found?: unknown, family?: number) => void;

/** The DNS server's answers from now on: an address, or no answer. */
function names(addressOf: (name: string) => string | undefined): void {
  const answer = (...args: unknown[]): void => {
    const address = addressOf(String(args[0]));
    const isForAll = (args[1] as { all?: boolean }).all;
    const found = isForAll ? [{ address, family: 4 }] : address;
    const none = Object.assign(new Error('no names'), { code: 'EAI_AGAIN' });
    process.nextTick(args.at(-1) as Answer, address === undefined ? none : null, found, 4);
  };
  vi.spyOn(dns, 'lookup').mockImplementation(answer);
  vi.spyOn(dns.promises, 'lookup').mockImplementation(async (name: string) => {
    const address = addressOf(name);
    if (address === undefined) throw Object.assign(new Error('no names'), { code: 'EAI_AGAIN' });
    return { address, family: 4 };
  });
  onTestFinished(() => void vi.restoreAllMocks());
}

it('visitors still get through a chain while DNS is down', async () => {
  const { entry, spec } = await chain(3);
  const { port } = await httpService((_request, response) => response.end('hello'));
  const one = await agent();
  await one.runner.apply(desired([spec], service('app', port)));
  await one.event('ready');
  names(() => undefined);
  // More than the idle pool can serve.
  const visits = Array.from({ length: 20 }, () => get(entry, 'app.localhost', one.ca));
  for (const { status } of await Promise.all(visits)) expect(status).toBe(200);
});

it('finds a peer that moved to another address by its name', async () => {
  let at = '127.0.0.1';
  names((name) => (name === 'entry.localhost' ? at : '127.0.0.1'));
  const { entry, spec } = await chain(2, { domain: 'entry.localhost' });
  const { port } = await httpService((_request, response) => response.end('hello'));
  const one = await agent();
  await one.runner.apply(desired([spec], service('app', port)));
  await one.event('ready');
  const seen = one.events.length;
  await entry.close();
  at = '127.0.0.2';
  await relay({ host: at, port: entry.port, ca: entry.ca, domain: 'entry.localhost' });
  const back = await one.event('lease', ({ phase }) => phase === 'ready', seen);
  expect(back.url).toBe(`https://app.entry.localhost:${entry.port}`);
});
