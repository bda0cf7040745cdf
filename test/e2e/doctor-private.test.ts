import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { agent, desired, relay, service, tcpService } from '../support/world.js';
import { jsonLines, Person } from './cli-support.js';

/** What `portal doctor` finds about private services, on the machine of the owner and on that of a visitor. */

let person: Person;
beforeEach(async () => {
  person = await Person.create();
});

const write = (text: string): Promise<void> => writeFile(join(person.folder, 'portal.yaml'), text);
const echo = () => tcpService((socket) => void socket.pipe(socket));

async function findings() {
  const { stdout } = await person.run(['doctor', '--json'], { env: { PORTAL_ALLOW: '1' } });
  return jsonLines(stdout)
    .filter(({ check }) => check === 'service.private')
    .map(({ level, message, hint }) => ({ level, message, hint }));
}

it('of a service of the user, once its agent runs', async () => {
  await write(
    `version: 1\nrelays: { embedded: { port: 0 } }\nservices:\n  db: { target: ${await echo()}, access: { identities: [] } }\n  web: ${await echo()}\n`,
  );
  expect(await findings()).toEqual([
    { level: 'skipped', message: 'not checked: run `portal identity new` first', hint: undefined },
  ]);
  await person.run(['identity', 'new']);
  expect(await findings()).toEqual([
    { level: 'skipped', message: 'not checked: run `portal up` first', hint: undefined },
  ]);
  person.downAfterTest();
  expect((await person.run(['up', '--wait'])).code).toBe(0);
  expect(await findings()).toEqual([
    {
      level: 'ok',
      message: '`portal connect db` reaches db.localhost with your identity',
      hint: undefined,
    },
  ]);
});

/** What a visitor finds. */
async function visited(inFile: (own: string) => string[], atAgent: (own: string) => string[]) {
  const { stdout } = await person.run(['identity', 'new', '--json']);
  const { address } = JSON.parse(stdout) as { address: string };
  const at = await relay();
  const owner = await agent();
  const access = { identities: atAgent(address) };
  await owner.runner.apply(desired([at.spec], service('db', await echo(), { access, alpn: 'auto' })));
  await owner.event('lease', ({ phase }) => phase === 'ready');
  await write(`version: 1
relays: { urls: [{ url: ${at.url}, ca: ${at.ca.certificateFile} }] }
services:
  db: { target: 5432, identity: "${owner.identity.address}", access: { identities: ${JSON.stringify(inFile(address))} } }
`);
  return { address, found: await findings() };
}

describe('of a service of someone else', () => {
  it('that admits the visitor', async () => {
    const { found } = await visited(
      (own) => [own],
      (own) => [own],
    );
    expect(found).toMatchObject([{ level: 'ok' }]);
  });

  it('whose agent and file have different lists', async () => {
    const { address, found } = await visited(
      (own) => [own],
      () => [],
    );
    expect(found).toEqual([
      {
        level: 'problem',
        message: `db.localhost: your identity ${address} may not connect`,
        hint: `Ask the owner to add it to the service: access: { identities: ["${address}"] }`,
      },
    ]);
  });

  it('that does not list the visitor', async () => {
    const { address, found } = await visited(
      () => [],
      () => [],
    );
    expect(found).toEqual([
      {
        level: 'skipped',
        message: `not checked: have your identity ${address} added to \`access.identities\` first`,
        hint: undefined,
      },
    ]);
  });
});
