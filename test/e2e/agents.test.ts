import { describe, expect, it } from 'vitest';
import { derivedIdentity } from '../../src/identity/derived.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { relayKey } from '../../src/agent/spec.js';
import type { AgentView } from '../../src/protocol/agents.js';
import { chain } from '../support/chain.js';
import { ask, seen, seenAgent, signIn } from '../support/sign-in.js';
import { temporaryFolder } from '../support/folder.js';
import { agent, desired, httpService, relay, service } from '../support/world.js';
import { Peer, settled } from './relay-peer.js';

/** What agents report to relays, and what happens to a disconnected agent. */

const ready = ({ services }: AgentView) => services.filter(({ phase }) => phase === 'ready').length;
const answering = () => httpService((_request, response) => response.end('hello'));

describe('an agent', () => {
  it('reports its machine, its services and their phases, even without a lease', async () => {
    const at = await relay();
    const { port } = await answering();
    const other = await Peer.open(at);
    await other.lease('used');
    const one = await agent({ machine: 'laptop' });
    const site = { ...service('site', port), name: 'web' };
    await one.runner.apply(desired([at.spec], site, service('used', port)));
    const token = await signIn(at, one.identity);
    const found = await seenAgent(at, token, ({ services }) =>
      services.some(({ phase }) => phase === 'failed'),
    );
    expect(found).toMatchObject({ machine: 'laptop', version: 'test', state: 'connected' });
    expect(found.services).toMatchObject([
      { service: 'site', name: 'web', phase: 'ready' },
      { service: 'used', phase: 'failed', code: 'name_taken' },
    ]);
    // Renamed and removed services follow.
    await one.runner.apply(desired([at.spec], { ...site, service: 'blog' }));
    await seenAgent(at, token, ({ services }) => services.map((each) => each.service).join() === 'blog');
  });

  it('takes the machine’s name and the team from the file, live', async () => {
    const at = await relay();
    const { port } = await answering();
    const member = generateIdentity();
    const one = await agent({ machine: 'laptop' });
    const plain = desired([at.spec], service('web', port));
    await one.runner.apply({ ...plain, machine: 'build-3', team: [member.address] });
    const tokens = { own: await signIn(at, one.identity), member: await signIn(at, member) };
    await seenAgent(at, tokens.own, ({ machine }) => machine === 'build-3');
    expect(await seenAgent(at, tokens.member)).toMatchObject({ own: false, machine: 'build-3' });
    await one.runner.apply({ ...plain, machine: false });
    await seenAgent(at, tokens.own, ({ machine }) => machine === undefined);
    expect((await seen(at, tokens.member)).agents).toEqual([]);
  });

  it('reports all services when one report cannot hold them', async () => {
    const at = await relay();
    const { port } = await answering();
    const one = await agent({ machine: 'laptop' });
    const services = Array.from({ length: 130 }, (_, index) => service(`s${index}`, port));
    void one.runner.apply(desired([at.spec], ...services));
    const token = await signIn(at, one.identity);
    const all = await seenAgent(at, token, (found) => ready(found) === services.length);
    expect(new Set(all.services.map((each) => each.service)).size).toBe(services.length);
  });

  it('has one id on every relay, even after a relay restarts', async () => {
    const folder = await temporaryFolder();
    const store = { file: `${folder}/relay.db` };
    const [first, second] = [await relay({ store }), await relay()];
    const { port } = await answering();
    const one = await agent({ machine: 'laptop' });
    await one.runner.apply(desired([first.spec, second.spec], service('web', port)));
    const ids = await Promise.all(
      [first, second].map(async (at) => (await seenAgent(at, await signIn(at, one.identity))).id),
    );
    expect(ids[0]).toBe(ids[1]);
    await seenAgent(first, await signIn(first, one.identity), ({ machine }) => machine === 'laptop');
    await first.close();
    const again = await relay({ store, ca: first.ca });
    const { agents, names } = await seen(again, await signIn(again, one.identity));
    expect(agents).toMatchObject([{ machine: 'laptop', state: 'disconnected' }]);
    expect(names).toMatchObject([{ name: 'web', use: 'free' }]);
  });
});

describe('over a chain', () => {
  it('neither relay learns the names of machine and services, or the team', async () => {
    const { entry, exit, spec } = await chain(2);
    const { port } = await answering();
    const member = generateIdentity();
    const one = await agent({ machine: 'laptop' });
    const { services, ...rest } = desired([spec], {
      ...service('secret-key', port),
      name: 'web',
      carrier: 'tls',
    });
    await one.runner.apply({ ...rest, services, team: [member.address] });
    await one.event('lease', ({ phase }) => phase === 'ready');
    // The entry knows only the identity and its lease.
    const found = await seenAgent(entry, await signIn(entry, one.identity));
    expect(found).not.toHaveProperty('machine');
    expect(found.services).toMatchObject([{ name: 'web', phase: 'open' }]);
    expect(found.services[0]).not.toHaveProperty('service');
    expect((await seen(entry, await signIn(entry, member))).agents).toEqual([]);
    // The exit knows a pseudonym, and shows nothing to the identity itself.
    expect(await seen(exit, await signIn(exit, one.identity))).toMatchObject({ agents: [], names: [] });
    const pseudonym = derivedIdentity(one.identity, `hop ${relayKey(exit.spec)}`);
    const [hop] = (await seen(exit, await signIn(exit, pseudonym))).agents;
    expect(hop).toMatchObject({ identity: pseudonym.address, services: [] });
    expect(hop).not.toHaveProperty('machine');
    expect(hop!.id).not.toBe(found.id);
    // The pseudonym sees nothing at the entry.
    expect((await seen(entry, await signIn(entry, pseudonym))).agents).toEqual([]);
  });
});

describe('an agent that was disconnected', () => {
  it('reports why, and stays disconnected until it restarts; other relays keep it', async () => {
    const [at, other] = [await relay(), await relay()];
    const { port } = await answering();
    const identity = generateIdentity();
    const one = await agent({ identity, machine: 'laptop' });
    await one.runner.apply(desired([at.spec, other.spec], service('web', port)));
    await one.event('ready');
    const token = await signIn(at, identity);
    const { id } = await seenAgent(at, token);
    await ask(at, 'POST', `/v1/agents/${id}/disconnect`, { token });
    const { error } = await one.event('lease', ({ phase }) => phase === 'failed');
    expect(error).toMatchObject({
      code: 'disconnected',
      message: expect.stringMatching(/your identity disconnected this agent, signed in from 127\.0\.0\.1/),
    });
    await settled(() => at.counts().leases === 0);
    const opened = at.stats().sessionsOpened;
    const status = await one.runner.status();
    expect(status.relays.map(({ state }) => state).toSorted()).toEqual(['connected', 'retrying']);
    expect(at.stats()).toMatchObject({ sessionsOpened: opened, channelsFailed: { disconnected: 1 } });
    expect(other.counts().leases).toBe(1);
    // Another process of the same identity is another agent.
    const fresh = await agent({ identity, machine: 'laptop' });
    await fresh.runner.apply(desired([at.spec], service('web', port)));
    await fresh.event('ready');
    const again = await seenAgent(at, token, ({ state }) => state === 'connected');
    expect(again.id).not.toBe(id);
  });
});
