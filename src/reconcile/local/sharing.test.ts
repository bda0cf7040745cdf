import { expect, it } from 'vitest';
import type { ShareStore } from '../../agent/access/share/store.js';
import type { AccessSpec, ServiceSpec } from '../../agent/spec.js';
import { generateIdentity } from '../../identity/keys.js';
import { Sharing } from './sharing.js';

function share(access: AccessSpec): Promise<unknown> {
  const lease = {
    spec: { service: 'web', access } as ServiceSpec,
    phase: 'ready' as const,
    address: {},
    hostname: undefined,
    sharesRevoked: () => undefined,
  };
  const sharing = new Sharing(generateIdentity(), {} as ShareStore, () => [lease]);
  return sharing.share({ service: 'web', path: '/', until: Date.now() + 60_000 });
}

it.each<[AccessSpec, string, string]>([
  [{}, 'web needs no link: everyone can already open its address', 'access.pin'],
  [{ allowIps: ['10.0.0.0/8'] }, 'links do not pass the gates of web', 'this service has none of them'],
  [{ pin: '2580', sharing: false }, 'links do not pass the gates of web', 'links pass `pin`'],
])('creates no link where it would open nothing: %j', async (access, message, hint) => {
  await expect(share(access)).rejects.toMatchObject({
    code: 'usage',
    message,
    hint: expect.stringContaining(hint) as string,
  });
});
