/** Shared by tests of the pool: similar relays, lists of them, and a pool with short timeouts. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RelaySpec, ServiceSpec } from '../../src/agent/spec.js';
import type { Desired } from '../../src/config/desired.js';
import type { Identity } from '../../src/identity/identity.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { temporaryFolder } from './folder.js';
import { desired, httpService, relay, type TestAgent, type TestRelay } from './world.js';

const identities = new Map<string, Identity>();

async function known(options: Parameters<typeof relay>[0] = {}): Promise<TestRelay> {
  const identity = generateIdentity();
  const started = await relay({ identity, ...options });
  identities.set(started.url, identity);
  return started;
}

/** Relays that differ only in port and key. */
export async function relays(count: number): Promise<TestRelay[]> {
  const first = await known();
  const others = Array.from({ length: count - 1 }, () => known({ ca: first.ca }));
  return [first, ...(await Promise.all(others))];
}

/** Restarts one of `relays` after it was closed. */
export function again({ ca, port, url }: TestRelay): Promise<TestRelay> {
  return relay({ ca, port, identity: identities.get(url)! });
}

/** A registry in a file. */
export async function registry(
  ...listed: TestRelay[]
): Promise<{ file: string; write: (...all: TestRelay[]) => Promise<void> }> {
  const file = join(await temporaryFolder(), 'registry.json');
  const write = (...all: TestRelay[]): Promise<void> =>
    writeFile(
      file,
      JSON.stringify({
        relays: all.map(({ url, address, ca }) => ({ url, address, ca: ca.certificateFile })),
      }),
    );
  await write(...listed);
  return { file, write };
}

/** A Desired with services on the pool, and candidates besides `urls`. */
export function pooled(
  candidates: string | NonNullable<Desired['candidates']>,
  urls: RelaySpec[],
  ...services: ServiceSpec[]
): Desired {
  const { services: placed, ...rest } = desired(urls, ...services);
  return {
    ...rest,
    candidates:
      typeof candidates === 'string' ? { registry: candidates, maxActive: 1, caFiles: {} } : candidates,
    services: placed.map((spec) => ({ ...spec, onPool: true as const })),
  };
}

/** Short timeouts for tests, in the same order. */
export const QUICK = { tickMs: 50, probeMs: 200, probePerCandidateMs: 0, registry: { checkMs: 50 } };

export const http = (): Promise<{ port: number }> =>
  httpService((_request, response) => response.end('here'));

/** The relays of a service now, and its phase on each. */
export async function places({ runner }: TestAgent): Promise<Record<string, string>> {
  const { leases } = await runner.status();
  return Object.fromEntries(
    leases.map(({ relay: at, phase, error }) => [at, error ? `${phase} ${error.code}` : phase]),
  );
}
