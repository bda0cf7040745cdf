import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse as parseYaml } from 'yaml';
import { expect, it } from 'vitest';
import { loadConfig } from './load.js';
import { portalSchema, validate, type Schema } from './schema/schema.js';

const FILE = fileURLToPath(new URL('../../examples/portal.yaml', import.meta.url));

/** The example with every disabled line enabled. */
async function wholeExample(): Promise<unknown> {
  const text = await readFile(FILE, 'utf8');
  expect(text).toContain('#| ');
  return parseYaml(text.replace(/^ *#\| /gm, ''));
}

it('runs unchanged, without any variable', async () => {
  const result = await loadConfig({ file: FILE, cwd: '/', env: {} });
  expect(result).toMatchObject({ ok: true, warnings: [] });
  expect(result.ok && result.desired.services.map(({ name }) => name)).toEqual([
    'web',
    'api',
    'app',
    'bedrock',
  ]);
  expect(result.ok && result.desired.relays).toEqual([{ kind: 'embedded', port: 8443 }]);
});

it('is valid with every setting enabled', async () => {
  const verdict = validate(await wholeExample());
  expect(verdict.ok ? [] : verdict.errors).toEqual([]);
});

it('contains every key of the format', async () => {
  const used = new Set<string>();
  JSON.stringify(await wholeExample(), (key, value: unknown) => {
    used.add(key);
    return value;
  });
  const mappings: Schema[] = [portalSchema(), ...Object.values(portalSchema().$defs ?? {})];
  const known = mappings.flatMap((part) => Object.keys(part.properties ?? {}));
  expect(known.filter((key) => !used.has(key))).toEqual([]);
});
