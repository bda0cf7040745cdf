/**
 * Writes every generated file: `node scripts/generate.mjs`. With `--check` it writes nothing, names each stale file and
 * exits with 1. To add a document, add an entry to `documents`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format } from 'oxfmt';
import { publicDeclarations } from './build/library-types.mjs';
import { renderConfigDoc } from './generate/config-doc.mjs';
import { renderEditorSchema } from './generate/editor-schema.mjs';
import { renderErrorsDoc } from './generate/errors-doc.mjs';
import { renderLibraryDoc } from './generate/library-doc.mjs';
import { renderMetricsDoc } from './generate/metrics-doc.mjs';
import { renderSchemaTypes } from './generate/schema-types.mjs';

const root = new URL('../', import.meta.url);

/**
 * @typedef {object} Generated
 * @property {string} path relative to the package's root
 * @property {() => Promise<string>} render its content; formatted afterwards
 */

/** @type {Generated[]} */
const documents = [
  { path: 'src/config/schema/types.ts', render: async () => renderSchemaTypes(schema()) },
  {
    path: 'schema/portal.schema.json',
    render: async () =>
      renderEditorSchema(
        schema(),
        (await built('config/checks/mode-rules.js')).MODE_RULES,
        (await built('config/schema/url.js')).SCHEMA_URL,
      ),
  },
  { path: 'docs/reference/config.md', render: async () => renderConfigDoc(schema()) },
  {
    path: 'docs/reference/errors.md',
    render: async () => renderErrorsDoc((await built('lib/error-codes.js')).ERRORS),
  },
  {
    path: 'docs/reference/metrics.md',
    render: async () => {
      const { METRICS, WORKER_METRICS } = await built('relay/metrics/table.js');
      const { AGENT_METRICS } = await built('reconcile/metrics.js');
      return renderMetricsDoc([...METRICS, ...WORKER_METRICS], AGENT_METRICS);
    },
  },
  {
    path: 'docs/reference/library.md',
    render: async () => renderLibraryDoc(publicDeclarations(fileURLToPath(root))),
  },
  {
    path: 'docs/reference/cli.md',
    render: async () => (await built('cli/docs/commands.js')).renderCliDocs(),
  },
  {
    path: 'docs/reference/events.md',
    render: async () => (await built('cli/docs/events.js')).renderEventsDoc(),
  },
];

function schema() {
  return JSON.parse(readFileSync(new URL('schema/portal.values.schema.json', root), 'utf8'));
}

function style() {
  return JSON.parse(readFileSync(new URL('.oxfmtrc.json', root), 'utf8'));
}

/** Loads a module of dist/modules/, so that documents get facts about the program from the program itself. */
async function built(path) {
  const url = new URL(`dist/modules/${path}`, root);
  if (!existsSync(url)) throw new Error(`dist/modules/${path} is missing: run \`npm run build\` first`);
  return import(url.href);
}

async function content({ path, render }) {
  const { code, errors } = await format(path, await render(), style());
  if (errors.length > 0) throw new Error(`${path} cannot be formatted: ${errors[0].message}`);
  return code;
}

/** Paths of generated files whose contents are out of date. */
export async function staleFiles() {
  const stale = [];
  for (const document of documents) {
    const file = new URL(document.path, root);
    const now = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
    if (now !== (await content(document))) stale.push(document.path);
  }
  return stale;
}

async function writeAll() {
  for (const document of documents) writeFileSync(new URL(document.path, root), await content(document));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    if (process.argv.includes('--check')) {
      const stale = await staleFiles();
      for (const path of stale) process.stderr.write(`${path} is stale. Run node scripts/generate.mjs\n`);
      process.exitCode = stale.length > 0 ? 1 : 0;
    } else {
      await writeAll();
    }
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
