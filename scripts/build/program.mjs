import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { rolldown } from 'rolldown';
import { validators } from './validators.mjs';

/** Loaded where they are installed: native code, which no bundle can hold. */
const EXTERNAL = ['libsql', 'bufferutil', 'utf-8-validate'];

/** Which modules are chunks of their own is the splitter's to decide; packages have directives that mean nothing here. */
const QUIET = new Set(['INEFFECTIVE_DYNAMIC_IMPORT', 'MODULE_LEVEL_DIRECTIVE']);

/** What a user installs: one entry, one chunk for each command and for what several need, every package inlined. */
export async function bundleProgram(root, folder) {
  const bundle = await rolldown({
    input: { main: join(root, 'src/cli/main.ts') },
    platform: 'node',
    checks: { pluginTimings: false },
    external: EXTERNAL,
    plugins: [validators(), withoutPrograms()],
    onLog: (level, log, report) => {
      if (!QUIET.has(log.code)) report(level, log);
    },
  });
  try {
    return await bundle.write({
      dir: folder,
      format: 'es',
      // Names that stay say in a stack trace where it was; nothing is minified for the same reason.
      entryFileNames: '[name].js',
      chunkFileNames: (chunk) => `${nameOf(root, chunk)}.js`,
      minifyInternalExports: false,
      // All that every command needs, in one file: a file costs about as much as 20 kB of code.
      codeSplitting: { groups: [{ name: 'start', tags: ['$initial'] }] },
      comments: { legal: false, annotation: false, jsdoc: false },
    });
  } finally {
    await bundle.close();
  }
}

/** All of it in one file of CommonJS, as Node wants it for an executable; `executable.cjs`. */
export async function bundleExecutable(root, folder) {
  const bundle = await rolldown({
    input: { executable: join(root, 'src/cli/executable.ts') },
    platform: 'node',
    checks: { pluginTimings: false },
    external: EXTERNAL,
    plugins: [validators(), withoutPrograms()],
    onLog: (level, log, report) => {
      if (!QUIET.has(log.code)) report(level, log);
    },
  });
  try {
    await bundle.write({
      dir: folder,
      format: 'cjs',
      entryFileNames: '[name].cjs',
      codeSplitting: false,
      comments: { legal: false, annotation: false, jsdoc: false },
    });
  } finally {
    await bundle.close();
  }
}

/**
 * Commander can run subcommands that are programs of their own. Ours are not, and node's child_process, with all that it
 * loads, is a good part of what `portal --help` takes.
 */
function withoutPrograms() {
  return {
    name: 'without-programs',
    resolveId: {
      filter: { id: /^node:child_process$/ },
      handler: (_id, importer) => (importer?.includes('/node_modules/commander/') ? '\0no-programs' : null),
    },
    load: { filter: { id: /^\0no-programs$/ }, handler: () => 'module.exports = {};' },
  };
}

/** The same sources, a file each, for what of this repository runs or reads single modules: benchmarks, chaos, fuzzers, docs. */
export async function bundleModules(root, folder) {
  const src = join(root, 'src');
  const input = readdirSync(src, { recursive: true, withFileTypes: true })
    .filter(({ name }) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
  const bundle = await rolldown({
    input,
    platform: 'node',
    checks: { pluginTimings: false },
    external: (id) =>
      !id.startsWith('.') && !id.startsWith('/') && !id.startsWith('validators:') && !id.startsWith('\0'),
    plugins: [validators()],
    treeshake: false,
  });
  try {
    return await bundle.write({
      dir: folder,
      format: 'es',
      preserveModules: true,
      preserveModulesRoot: src,
      entryFileNames: '[name].js',
    });
  } finally {
    await bundle.close();
  }
}

/** The path of its module for a chunk that is one; of its last module, which the others are there for, for one of several. */
function nameOf(root, { facadeModuleId, moduleIds }) {
  const path = relative(root, facadeModuleId ?? moduleIds.at(-1) ?? 'chunk');
  return path
    .replace(/^.*node_modules\//, '')
    .replace(/^src\//, '')
    .replace(/\.\w+$/, '')
    .replaceAll(/[^\w-]+/g, '-')
    .replace(/^-/, '');
}
