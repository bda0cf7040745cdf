import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { rolldown } from 'rolldown';
import { validators } from './validators.mjs';

/** Native code, which a bundle cannot contain. It is loaded from node_modules if installed. */
const EXTERNAL = ['libsql', 'bufferutil', 'utf-8-validate'];

/** The splitter decides which modules get separate chunks. Directives in packages have no effect here. */
const QUIET = new Set(['INEFFECTIVE_DYNAMIC_IMPORT', 'MODULE_LEVEL_DIRECTIVE']);

/** Input options of both forms of the program. */
const programOptions = () => ({
  platform: 'node',
  checks: { pluginTimings: false },
  external: EXTERNAL,
  // Prefers a package's ES modules: only the used parts are bundled, and they evaluate faster.
  resolve: { mainFields: ['module', 'main'] },
  plugins: [validators(), withoutPrograms()],
  onLog: (level, log, report) => {
    if (!QUIET.has(log.code)) report(level, log);
  },
});

/** The installed program: one entry, one chunk for each command and for shared modules, all packages inlined. */
export async function bundleProgram(root, folder) {
  const bundle = await rolldown({
    input: { main: join(root, 'src/cli/main.ts') },
    ...programOptions(),
  });
  try {
    return await bundle.write({
      dir: folder,
      format: 'es',
      // Readable names and no minification keep stack traces useful.
      entryFileNames: '[name].js',
      chunkFileNames: (chunk) => `${nameOf(root, chunk)}.js`,
      minifyInternalExports: false,
      // One file for the modules that every command needs: loading a file costs as much as about 20 kB of code.
      codeSplitting: { groups: [{ name: 'start', tags: ['$initial'] }] },
      comments: { legal: false, annotation: false, jsdoc: false },
    });
  } finally {
    await bundle.close();
  }
}

/** The whole program as one CommonJS file, `executable.cjs`, which Node requires for a single executable. */
export async function bundleExecutable(root, folder) {
  const bundle = await rolldown({
    input: { executable: join(root, 'src/cli/executable.ts') },
    ...programOptions(),
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
 * Commander loads child_process to run subcommands that are separate programs. Portal has none, and loading it takes a
 * large part of the time of `portal --help`.
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

/** One file for each source, for the benchmarks, chaos, fuzzers and generators, which load single modules. */
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

/** Names a chunk after its module, or after the last one, which depends on the others. */
function nameOf(root, { facadeModuleId, moduleIds }) {
  const path = relative(root, facadeModuleId ?? moduleIds.at(-1) ?? 'chunk');
  return path
    .replace(/^.*node_modules\//, '')
    .replace(/^src\//, '')
    .replace(/\.\w+$/, '')
    .replaceAll(/[^\w-]+/g, '-')
    .replace(/^-/, '');
}
