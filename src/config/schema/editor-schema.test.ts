import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats/dist/formats.js';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { SCHEMA_URL } from './url.js';
import { packageFile } from '../../lib/package-file.js';
import { loadConfig } from '../load.js';
import { MODE_RULES } from '../checks/mode-rules.js';

const schema = JSON.parse(readFileSync(packageFile('schema/portal.schema.json'), 'utf8')) as { $id: string };
const ajv = new Ajv2020({ allErrors: true, strict: false });
ajv.addFormat('hostname', formats.fullFormats.hostname);
const fits = ajv.compile(schema);

const ENVIRONMENT = { PORT: '3000', HOST: 'localhost', ON: 'true', MODE: 'http', EVERY: '10s' };

/** Whether an editor finds no error, and whether the program accepts it. */
async function verdicts(services: string, rest = ''): Promise<{ editor: boolean; program: boolean }> {
  const text = `version: 1\n${rest}\nservices:\n${services}\n`;
  const stdin = async (): Promise<string> => text;
  const result = await loadConfig({ file: '-', cwd: '/nowhere', env: ENVIRONMENT, stdin, userName: 'zoe' });
  return { editor: fits(parse(text, { merge: true })), program: result.ok };
}

describe('the schema for editors', () => {
  it.each([
    '  a: 3000',
    '  a: ${PORT}',
    '  a: "${HOST}:${PORT}"',
    '  a: { target: "${PORT}", name: "api-${user}" }',
    '  a: { target: 1, name: "${branch:-main}-${id}" }',
    '  a: { target: 1, mode: "${MODE}" }',
    '  a: { target: 1, inspect: "${ON}" }',
    '  a: { routes: { /: 1, /hooks: { target: 1, hold: "${TIME:-10m}" } } }',
    '  a: { mode: tcp, target: 1, port: "${PORT}" }',
    '  a: { target: 1, hostname: "${HOST}.example.com" }',
    '  a: { target: 1, expires: "${TIME:-8h}" }',
    '  a: { target: 1, access: { allowIps: ["${IP:-10.0.0.1}"] } }',
    '  a: { routes: { /: "${PORT}", /api: { target: "${PORT}", stripPrefix: "${ON}" } } }',
    '  a: { mode: stream, target: 1, access: { pin: "1234" } }',
  ])('accepts what the program accepts: %s', async (services) => {
    expect(await verdicts(services)).toEqual({ editor: true, program: true });
  });

  it.each([
    ['  a: 1', 'relays: { urls: ["https://${HOST}"] }'],
    ['  a: 1', 'relays: { embedded: { port: "${PORT}" } }'],
    ['  a: 1', 'machine: "${HOST}"'],
    ['  a: 1', 'envFile: { path: "./${HOST}.env", required: false }'],
    ['  a: 1', 'envFile: [{ path: ./a.env, required: "${OFF:-false}" }, { path: b.env, required: false }]'],
    ['  a: { <<: *shared, target: 1, x-note: [1] }', 'x-shared: &shared { inspect: true }'],
  ])('accepts variables and `x-` keys outside services: %s %s', async (services, rest) => {
    expect(await verdicts(services, rest)).toEqual({ editor: true, program: true });
  });

  it.each([
    '  a: { mode: stream, target: 1, inspect: true }',
    '  a: { mode: stream, target: 1, routes: { /: 1 } }',
    '  a: { mode: stream, target: 1, hold: 10m }',
    '  a: { mode: udp, target: 1, access: { pin: "1234" } }',
    '  a: { target: 1, name: My_App }',
    '  a: { target: 1, inspect: maybe }',
    '  a: { target: 1, expires: soon }',
    '  a: { target: 1, unknown: 1 }',
    '  a: 70000',
  ])('rejects what the program rejects: %s', async (services) => {
    expect(await verdicts(services)).toEqual({ editor: false, program: false });
  });

  it('rejects settings that a mode does not have', () => {
    for (const { key, modes } of MODE_RULES) {
      for (const mode of ['stream', 'http', 'tcp', 'udp'] as const) {
        const [first = '', second] = key;
        const service = { mode, target: 1, [first]: second === undefined ? 'x' : { [second]: 'x' } };
        fits({ version: 1, services: { a: service } });
        const marked = (fits.errors ?? []).some(
          (error) =>
            error.keyword === 'false schema' &&
            error.instancePath === ['', 'services', 'a', ...key].join('/'),
        );
        expect({ key, mode, marked }).toEqual({ key, mode, marked: !modes.includes(mode) });
      }
    }
  });

  it('has the address that `portal init` writes', () => {
    expect(schema.$id).toBe(SCHEMA_URL);
  });

  it('accepts the example with every key', () => {
    fits(parse(readFileSync(packageFile('examples/portal.yaml'), 'utf8')));
    expect(fits.errors).toBeNull();
  });
});

it.each([
  ['version: 1\ninclude: [./a.yaml, "./${HOST}.yaml"]\n', true],
  ['version: 1\nservices: { a: 1 }\nx-shared: {}\n', true],
  ['version: 1\n', false],
  ['version: 1\ninclude: []\n', false],
])('checks a file that includes others, and included files: %j', (text, isValid) => {
  expect(fits(parse(text))).toBe(isValid);
});
