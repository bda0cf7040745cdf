import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import ucs2length from 'ajv/dist/runtime/ucs2length.js';
import standalone from 'ajv/dist/standalone/index.js';
import formats from 'ajv-formats/dist/formats.js';
import { rolldown } from 'rolldown';

/**
 * Modules `validators:NAME`, compiled from JSON schemas at build time by ajv's standalone code. So the program neither
 * loads ajv nor compiles schemas when it starts. A plugin for rolldown and vite (tests run the same code). The types
 * are in src/lib/validators.d.ts.
 */

const root = new URL('../../', import.meta.url);
const path = (relative) => fileURLToPath(new URL(relative, root));

/** For messages from a peer: removes unknown fields, checks known fields. */
const dropsUnknown = () => new Ajv({ removeAdditional: true, allErrors: false, ...COMMON });
const COMMON = { strict: true, code: { source: true, esm: true } };

/** By name: the source of its schemas, by export, and their compiler. */
const MODULES = {
  'from-agent': {
    file: 'src/protocol/messages.ts',
    take: (module) => module.AGENT_MESSAGES,
    ajv: dropsUnknown,
  },
  'from-relay': {
    file: 'src/protocol/messages.ts',
    take: (module) => module.RELAY_MESSAGES,
    ajv: dropsUnknown,
  },
  responses: {
    file: 'src/protocol/agents-schemas.ts',
    take: (module) => module.RESPONSES,
    ajv: dropsUnknown,
  },
  descriptor: {
    file: 'src/protocol/descriptor-schema.ts',
    take: (module) => ({ descriptor: module.DESCRIPTOR }),
    ajv: () => new Ajv({ allErrors: false, ...COMMON }),
  },
  config: {
    file: 'schema/portal.values.schema.json',
    take: (schema) => ({ config: flat(schema) }),
    ajv: configAjv,
  },
};

function configAjv() {
  const ajv = new Ajv2020({ allErrors: true, ...COMMON });
  ajv.addFormat('hostname', formats.fullFormats.hostname);
  return ajv;
}

const PREFIX = 'validators:';

export function validators() {
  return {
    name: 'validators',
    resolveId: { filter: { id: /^validators:/ }, handler: (id) => `\0${id}` },
    load: {
      filter: { id: /^\0validators:/ },
      async handler(id) {
        const name = id.slice(PREFIX.length + 1);
        const source = MODULES[name];
        if (!source)
          throw new Error(`no schemas for ${id.slice(1)}: add them to scripts/build/validators.mjs`);
        const { module, files } = await read(source.file);
        for (const file of files) this.addWatchFile(file);
        return compiled(source.ajv(), source.take(module));
      },
    },
  };
}

/** `{ name: validate }` as the source of a module that exports `validators`. */
function compiled(ajv, schemas) {
  for (const [name, schema] of Object.entries(schemas)) ajv.addSchema(schema, name);
  const names = Object.keys(schemas);
  const exported = Object.fromEntries(names.map((name, index) => [`validator${index}`, name]));
  const code = standalone
    .default(ajv, exported)
    .replace('"use strict";', '')
    // ajv writes this one import as CommonJS, even in ES modules.
    .replaceAll(/require\("ajv\/dist\/runtime\/ucs2length"\)\.default/g, ucs2length.default.toString());
  if (code.includes('require('))
    throw new Error(`a schema needs ajv at run time: ${/require\([^)]*\)/.exec(code)}`);
  const table = names.map((name, index) => `${JSON.stringify(name)}: validator${index}`).join(', ');
  return `${code}\nexport const validators = { ${table} };\n`;
}

/** Loads a module of TypeScript, or JSON, with all its imports. */
async function read(file) {
  if (file.endsWith('.json'))
    return { module: JSON.parse(readFileSync(path(file), 'utf8')), files: [path(file)] };
  const bundle = await rolldown({ input: path(file), platform: 'node', logLevel: 'silent' });
  const { output } = await bundle.generate({ format: 'es' });
  const files = await bundle.watchFiles;
  await bundle.close();
  return { module: await import(`data:text/javascript,${encodeURIComponent(output[0].code)}`), files };
}

/** Annotations, which check nothing. */
const ANNOTATIONS = new Set(['title', 'description', 'examples', 'default']);

/**
 * A schema with each reference replaced by its target, so that an error's `schemaPath` starts at the root
 * (src/config/schema/schema.ts follows it).
 */
function flat(schema, { $defs } = schema) {
  const walk = (node, isMap = false) => {
    if (Array.isArray(node)) return node.map((item) => walk(item));
    if (typeof node !== 'object' || node === null) return node;
    const { $ref, ...own } = node;
    const kept = Object.entries(own).filter(([key]) => isMap || !(ANNOTATIONS.has(key) || key === '$defs'));
    const copy = Object.fromEntries(
      kept.map(([key, value]) => [key, walk(value, !isMap && key === 'properties')]),
    );
    return $ref && !isMap ? { ...walk($defs[$ref.replace('#/$defs/', '')]), ...copy } : copy;
  };
  return walk(schema);
}
