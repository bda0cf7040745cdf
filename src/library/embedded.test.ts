import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { generateIdentity } from '../identity/keys.js';
import { silent } from '../lib/logger.js';
import { embeddedRelays } from './embedded.js';

async function takenPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

test('replaces a port in use if none was configured, else fails with a clear error', async () => {
  const caDir = await mkdtemp(join(tmpdir(), 'portal-embedded-'));
  onTestFinished(() => rm(caDir, { recursive: true, force: true }));
  const start = embeddedRelays(caDir, { log: silent, owner: generateIdentity().address });
  const port = await takenPort();

  const relay = await start({ kind: 'embedded', port, orAnyPort: true });
  expect(relay.url).toMatch(/^https:\/\/localhost:\d+$/);
  expect(relay.url).not.toBe(`https://localhost:${port}`);
  await relay.close();

  await expect(start({ kind: 'embedded', port })).rejects.toMatchObject({
    code: 'address_in_use',
    message: expect.stringContaining(String(port)) as string,
    hint: expect.stringContaining('embedded') as string,
  });
});
