/** A relay that terminates TLS, and how the agent detects it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import type { ServiceSpec } from '../../src/agent/spec.js';
import { eavesdropper } from '../support/terminating-relay.js';
import { temporaryFolder } from '../support/folder.js';
import { agent, desired, get, httpService, relay, service, visit } from '../support/world.js';

async function world(over: Partial<ServiceSpec> = {}, proveEveryMs = 60_000) {
  let port = 0;
  const between = await eavesdropper('web.localhost', () => port);
  const at = await relay({ publicPort: between.port });
  port = at.port;
  const { port: target } = await httpService((_request, response) => response.end('private'));
  const one = await agent({ proveEveryMs });
  const wanted = desired([at.spec], service('web', target, over));
  return { at, between, one, wanted };
}

describe('a relay that reads traffic', () => {
  it('is detected before the service is ready, and the lease is released', async () => {
    const { at, between, one, wanted } = await world();
    between.terminate(await at.ca.issue(['web.localhost']));
    void one.runner.apply(wanted);
    const { error } = await one.event('lease', ({ phase }) => phase === 'failed');
    expect(error).toMatchObject({ code: 'intercepted' });
    expect(one.events).not.toContainEqual(expect.objectContaining({ phase: 'ready' }));
    await eventually(() => expect(at.counts().leases).toBe(0));
  });

  it('is detected by a scheduled check when it starts later, and status shows the last successful check', async () => {
    const { at, between, one, wanted } = await world({}, 50);
    await one.runner.apply(wanted);
    await one.event('ready');
    const [lease] = (await one.runner.status()).leases;
    expect(await get(between, 'web.localhost', one.ca)).toMatchObject({ status: 200 });
    await eventually(async () => {
      const [later] = (await one.runner.status()).leases;
      expect(Date.parse(later!.provenAt!)).toBeGreaterThan(Date.parse(lease!.provenAt!));
    });
    between.terminate(await at.ca.issue(['web.localhost']));
    const { error } = await one.event('lease', ({ phase }) => phase === 'failed');
    expect(error).toMatchObject({ code: 'intercepted' });
    await eventually(() => expect(at.counts().leases).toBe(0));
    // No retry: it would only give the attacker more traffic.
    expect((await one.runner.status()).leases[0]).toMatchObject({ phase: 'failed' });
  });

  it('is detected on demand, and visitors are disconnected', async () => {
    const { at, between, one, wanted } = await world();
    await one.runner.apply(wanted);
    between.terminate(await at.ca.issue(['web.localhost']));
    const visitor = await visit(between, 'web.localhost', at.ca);
    const cut = new Promise((resolve) => visitor.once('close', resolve));
    visitor.on('error', () => undefined);
    await one.runner.prove();
    await cut;
    expect((await one.runner.status()).leases[0]).toMatchObject({
      phase: 'failed',
      error: { code: 'intercepted' },
    });
  });

  it('is detected even if it has the key of our certificate', async () => {
    const { at, between, one, wanted } = await world();
    const folder = await temporaryFolder();
    const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const stolen = await at.ca.issue(['web.localhost']);
    await writeFile(certFile, stolen.cert);
    await writeFile(keyFile, stolen.key);
    const [spec] = wanted.services;
    const own = { ...wanted, services: [{ ...spec!, tls: { source: 'files', certFile, keyFile } as const }] };
    await one.runner.apply(own);
    expect((await one.runner.status()).leases[0]).toMatchObject({ phase: 'ready' });
    between.terminate(stolen);
    expect(await get(between, 'web.localhost', at.ca)).toMatchObject({ status: 200 });
    expect(between.overheard()).toContain('GET / HTTP/1.1');
    await one.runner.prove();
    expect((await one.runner.status()).leases[0]?.error).toMatchObject({
      code: 'intercepted',
      message: expect.stringContaining('someone else has its key') as string,
    });
  });
});
