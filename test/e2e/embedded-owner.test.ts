import { expect, it, onTestFinished } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { embeddedRelays } from '../../src/library/embedded.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { silent } from '../../src/lib/logger.js';
import { temporaryFolder } from '../support/folder.js';
import { Peer } from './relay-peer.js';

/** The embedded relay of an agent, and other programs on the machine. */

it('serves agents of its own identity, and rejects every other identity', async () => {
  const caDir = await temporaryFolder();
  const ca = await openLocalCa(caDir);
  const owner = generateIdentity();
  const start = embeddedRelays(caDir, { log: silent, owner: owner.address });
  const relay = await start({ kind: 'embedded', port: 0 });
  onTestFinished(() => relay.close());
  const at = { url: relay.url, port: Number(new URL(relay.url).port), ca };

  const stranger = await Peer.connect(at);
  stranger.say({ type: 'prove', signature: stranger.identity.sign(await stranger.challenge()) });
  expect(await stranger.next('error')).toMatchObject({
    code: 'unauthorized',
    message: 'this relay belongs to an agent with another identity',
  });

  for (const name of ['web', 'api'])
    expect(await (await Peer.open(at, { identity: owner })).lease(name)).toMatchObject({
      hostname: `${name}.localhost`,
    });
});
