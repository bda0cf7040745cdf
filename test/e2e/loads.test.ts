import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpService, relay } from '../support/world.js';
import { Person, PROCESSES } from './cli-support.js';

/** The code that each command of the built program loads. Unneeded code is the main cause of a slow start. */

const root = fileURLToPath(new URL('../..', import.meta.url));
/** The modules of each chunk in dist/portal. The same sources make the same chunks. */
const modulesOf = new Map<string, string[]>();
const codeOf = new Map<string, string>();
let folder: string;

/** Prints the modules and the code of each chunk as JSON. Not in the test process, whose module loader differs from Node's. */
const BUNDLE = `
  import { bundleProgram } from ${JSON.stringify(new URL('../../scripts/build/program.mjs', import.meta.url))};
  const { output } = await bundleProgram(process.argv[1], process.argv[2]);
  const chunks = output.filter(({ type }) => type === 'chunk');
  console.log(JSON.stringify(chunks.map(({ fileName, moduleIds, code }) => [fileName, moduleIds, code])));`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portal-loads-'));
  const args = ['--input-type=module', '-e', BUNDLE, root, folder];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000, maxBuffer: 50e6 });
  for (const [chunk, ids, code] of JSON.parse(stdout) as [string, string[], string][]) {
    modulesOf.set(chunk, named(ids));
    codeOf.set(chunk, code);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The paths of sources, and the names of packages. */
function named(ids: readonly string[]): string[] {
  return ids.map((id) => {
    const inPackage = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(id)?.[1];
    return inPackage ?? (id.startsWith(root) ? relative(root, id) : id);
  });
}

/** The chunks and modules that `portal …` loads, as V8 lists the scripts that it has compiled. */
async function loads(
  person: Person,
  run: (env: NodeJS.ProcessEnv) => Promise<unknown>,
): Promise<{ chunks: string[]; modules: string[] }> {
  const coverage = await mkdtemp(join(person.folder, 'coverage-'));
  await run({ NODE_V8_COVERAGE: coverage });
  const chunks = new Set<string>();
  for (const file of await readdir(coverage)) {
    const { result } = JSON.parse(await readFile(join(coverage, file), 'utf8')) as {
      result: { url: string }[];
    };
    for (const { url } of result) if (url.includes('/dist/portal/')) chunks.add(basename(fileURLToPath(url)));
  }
  expect(chunks).toContain('main.js');
  const unknown = [...chunks].filter((chunk) => !modulesOf.has(chunk));
  expect(unknown, 'chunks of another build').toEqual([]);
  return { chunks: [...chunks], modules: [...chunks].flatMap((chunk) => modulesOf.get(chunk)!) };
}

const packages = (modules: readonly string[]): string[] => [
  ...new Set(modules.filter((each) => !each.includes('/') || each.startsWith('@'))),
];
const within = (modules: readonly string[], folders: RegExp): string[] =>
  modules.filter((each) => folders.test(each));

/** `portal up` until it is ready. */
async function upAndDown(person: Person, env: NodeJS.ProcessEnv): Promise<void> {
  const running = person.start(['up', '--json'], { env: { ...env, PORTAL_ALLOW: '1' } });
  await running.event('ready');
  running.kill('SIGTERM');
  expect(await running.finished).toMatchObject({ code: 0 });
}

it('has only ASCII in its chunks, which V8 keeps with one byte for each character', () => {
  expect([...codeOf].filter(([, code]) => /[^\0-\x7f]/.test(code)).map(([chunk]) => chunk)).toEqual([]);
  expect(codeOf.get('main.js')).toContain('\\u2013');
});

describe('portal', () => {
  it('--help loads the grammar of the command line only', async () => {
    const person = await Person.create(PROCESSES);
    const { chunks, modules } = await loads(person, (env) => person.run(['--help'], { env }));
    expect(
      packages(modules)
        .filter((each) => !each.startsWith('\0'))
        .toSorted(),
    ).toEqual(['commander', 'fastest-levenshtein']);
    // From the other modules, only names and numbers that the help shows.
    expect(within(modules, /^src\/(?!cli\/|lib\/)/).toSorted()).toEqual([
      'src/agent/inspect/history/ids.ts',
      'src/config/words/suggest.ts',
      // The error of an invalid file.
      'src/library/config-invalid.ts',
      'src/protocol/limits.ts',
      'src/relay/limits.ts',
    ]);
    expect(chunks.length).toBeLessThanOrEqual(3);
  });

  it('validate loads neither an agent nor a relay', async () => {
    const person = await Person.create(PROCESSES);
    await writeFile(join(person.folder, 'portal.yaml'), 'version: 1\nservices: { web: 3000 }\n');
    const { chunks, modules } = await loads(person, async (env) =>
      expect(await person.run(['validate'], { env })).toMatchObject({ code: 0 }),
    );
    expect(packages(modules)).toEqual(expect.arrayContaining(['yaml']));
    expect(
      within(modules, /^(ws|chokidar|ajv|listr2|p-retry|pino|prom-client|@peculiar\/.*|@noble\/secp256k1)$/),
    ).toEqual([]);
    expect(within(modules, /^src\/(relay\/(?!limits)|reconcile\/(?!notices))/)).toEqual([]);
    expect(within(modules, /^src\/agent\/(session|lease|control|serving\/|modes\/)/)).toEqual([]);
    expect(chunks.length).toBeLessThanOrEqual(13);
  });

  it('up with a service in mode stream loads no HTTP client, no library for certificates and no SQLite', async () => {
    const person = await Person.create(PROCESSES);
    const { port } = await httpService((_request, response) => response.end('hello'));
    const file = `version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: { target: ${port}, mode: stream } }\n`;
    await writeFile(join(person.folder, 'portal.yaml'), file);
    // Also the first start, which creates the identity and the CA.
    const { chunks, modules } = await loads(person, (env) => upAndDown(person, env));
    expect(modules).toEqual(
      expect.arrayContaining([
        'src/relay/relay.ts',
        'src/agent/session/session.ts',
        'src/agent/serving/tls.ts',
      ]),
    );
    expect(within(modules, /^(ajv|listr2|pino|prom-client|preact|@peculiar\/.*)$/)).toEqual([]);
    // The program of the thread that verifies passwords.
    expect(within(modules, /threads:/)).toEqual([]);
    expect(
      within(modules, /^src\/(agent\/modes\/http\/handler|relay\/store\/sqlite|relay\/metrics\/)/),
    ).toEqual([]);
    expect(chunks.length).toBeLessThanOrEqual(25);
  });

  it('up with a service in mode http loads nothing of a relay', async () => {
    const person = await Person.create(PROCESSES);
    const at = await relay();
    const { port } = await httpService((_request, response) => response.end('hello'));
    const urls = `[{ url: "https://localhost:${at.port}", ca: "${at.ca.certificateFile}" }]`;
    const file = `version: 1\nrelays: { urls: ${urls} }\nservices: { web: { target: ${port}, mode: http } }\n`;
    await writeFile(join(person.folder, 'portal.yaml'), file);
    const { modules } = await loads(person, (env) => upAndDown(person, env));
    expect(modules).toContain('src/agent/modes/http/handler.ts');
    expect(within(modules, /^src\/relay\/(?!limits)/)).toEqual([]);
  });

  it('up loads the library for OpenID Connect only once a visitor signs in', async () => {
    const OPENID = /^(openid-client|oauth4webapi|jose)$/;
    expect(within([...modulesOf.values()].flat(), OPENID)).toContain('openid-client');
    const person = await Person.create(PROCESSES);
    const { port } = await httpService((_request, response) => response.end('hello'));
    const of = (access: string): string => `{ target: ${port}, mode: http, access: { ${access} } }`;
    const oidc = 'oidc: { issuer: "http://127.0.0.1:1", clientId: a, allow: { domains: [b.example] } }';
    const services = `services: { web: ${of('pin: 2580-1379')}, board: ${of(oidc)} }`;
    const file = `version: 1\nrelays: { embedded: { port: 0 } }\n${services}\n`;
    await writeFile(join(person.folder, 'portal.yaml'), file);
    const { modules } = await loads(person, (env) => upAndDown(person, env));
    expect(modules).toContain('src/agent/access/oidc-gate.ts');
    expect(within(modules, OPENID)).toEqual([]);
  });
});
