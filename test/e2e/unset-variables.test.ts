/** Commands in a shell without a variable that the running agent has. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { jsonLines, Person } from './cli-support.js';

let person: Person;
beforeEach(async () => {
  person = await Person.create();
  await writeFile(
    join(person.folder, 'portal.yaml'),
    'version: 1\nrelays: { embedded: { port: 0 } }\nservices: { api: { target: 1, access: { pin: "${API_PIN}" } } }\n',
  );
});

const HAS = 'The running agent has API_PIN, and this shell does not. Write it to a .env next to the file.';

test('errors say that the running agent has the variable', async () => {
  expect((await person.run(['plan'])).stderr).toContain('Set it in the environment or in a .env');
  const up = person.start(['up', '--json'], { env: { API_PIN: '2580-1379' } });
  await up.event('ready');
  for (const args of [['plan'], ['list'], ['allow'], ['validate']]) {
    const { code, stderr } = await person.run(args);
    expect({ args, code, stderr }).toEqual({ args, code: 2, stderr: expect.stringContaining(HAS) });
  }
  const [rejected] = jsonLines((await person.run(['plan', '--json'])).stdout);
  expect(rejected).toMatchObject({
    event: 'rejected',
    errors: [{ variable: 'API_PIN', hint: expect.stringContaining(HAS) as string }],
  });
  // These need the identity only.
  expect(await person.run(['share', 'list'])).toMatchObject({ code: 0 });
  expect((await person.run(['requests', 'show', '1-1'])).stderr).toContain('request_unknown');
  // An error in the file itself is the user's to fix, wherever the variable is.
  await writeFile(
    join(person.folder, 'portal.yaml'),
    'version: 1\nservices: { api: { target: 1, access: { pin: "${API_PIN}" } }, web: { target: 99999 } }\n',
  );
  await up.event('rejected');
  expect((await person.run(['plan'])).stderr).toContain('Set it in the environment or in a .env');
}, 60_000);
