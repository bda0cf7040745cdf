import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { rolldown } from 'rolldown';
import { asciiOnly } from './ascii.mjs';
import { requiredBuiltins } from './builtins.mjs';
import { threads } from './threads.mjs';
import { validators } from './validators.mjs';

/** Native code, which a bundle cannot contain. It is loaded from node_modules if installed. */
const EXTERNAL = ['@photostructure/sqlite', 'bufferutil', 'utf-8-validate'];

/** The splitter decides which modules get separate chunks. Directives in packages have no effect here. */
const QUIET = new Set(['INEFFECTIVE_DYNAMIC_IMPORT', 'MODULE_LEVEL_DIRECTIVE']);

/** Input options of both forms of the program. */
const programOptions = () => ({
  platform: 'node',
  checks: { bundlerTimings: false },
  external: EXTERNAL,
  // Prefers a package's ES modules: only the used parts are bundled, and they evaluate faster.
  resolve: { mainFields: ['module', 'main'] },
  plugins: [validators(), threads(), withoutPrograms(), asciiOnly()],
  onLog: (level, log, report) => {
    if (!QUIET.has(log.code)) report(level, log);
  },
});

/** The installed program: one entry for the command line and one for programs, one chunk for each command and for shared modules, all packages inlined. */
export async function bundleProgram(root, folder) {
  const options = programOptions();
  const bundle = await rolldown({
    input: { main: join(root, 'src/cli/main.ts'), library: join(root, 'src/library/index.ts') },
    ...options,
    preserveEntrySignatures: 'allow-extension',
    plugins: [...options.plugins, requiredBuiltins()],
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
      codeSplitting: {
        groups: [{ name: journeysOf(root) }],
        // Dependencies have chunks of their own, which other commands load without their dependents.
        includeDependenciesRecursively: false,
      },
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

/** `contract.ts` has the tests that each engine passes. */
const isTest = (name) => name.endsWith('.test.ts') || name === 'contract.ts';

/** One file for each source, for the benchmarks, chaos, fuzzers and generators, which load single modules. */
export async function bundleModules(root, folder) {
  const src = join(root, 'src');
  const input = readdirSync(src, { recursive: true, withFileTypes: true })
    .filter(({ name }) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !isTest(name))
    .map((entry) => join(entry.parentPath, entry.name));
  const bundle = await rolldown({
    input,
    platform: 'node',
    checks: { bundlerTimings: false },
    external: (id) => !/^(\.|\/|\0|validators:|threads:)/.test(id),
    plugins: [validators(), threads()],
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

/** The modules that the most frequent commands load: those that they import statically or always import later. */
const JOURNEYS = {
  config: ['src/cli/commands/validate.ts', 'src/config/load.ts'],
  up: [
    'src/cli/commands/up.ts',
    'src/cli/run-agent.ts',
    'src/library/follow-file.ts',
    'src/agent/serving/tls.ts',
  ],
  http: ['src/agent/modes/http/handler.ts'],
  relay: ['src/cli/commands/relay.ts'],
  embedded: ['src/relay/relay.ts'],
  control: ['src/cli/commands/status.ts', 'src/cli/commands/logs.ts', 'src/cli/commands/down.ts'],
};

/**
 * Names the chunk of a module after the journeys that load it, so that each command loads few files and no module
 * that it does not need. A module that other commands also need is in a chunk with other such modules. At least the
 * same journeys load the imports of a module, so chunks never import each other in a circle.
 */
function journeysOf(root) {
  let loaded;
  return (id, context) => {
    loaded ??= loadedBy(root, (each) => context.getModuleInfo(each));
    const names = loaded.get(id);
    // Not the tag `$initial`: the entry for programs is one too.
    if (names?.has('start')) return 'start';
    const journeys = Object.keys(JOURNEYS).filter((name) => names?.has(name));
    if (journeys.length === 0) return null;
    return [...journeys, ...(names.has('other') ? ['other'] : [])].join('-');
  };
}

/** The names of the journeys that load each module; `other` stands for all other imports that are made later. */
function loadedBy(root, getModuleInfo) {
  const loaded = new Map();
  const later = new Set();
  const walk = (id, name) => {
    const names = loaded.get(id) ?? loaded.set(id, new Set()).get(id);
    if (names.has(name)) return;
    names.add(name);
    const info = getModuleInfo(id);
    for (const next of info?.dynamicallyImportedIds ?? []) later.add(next);
    for (const next of info?.importedIds ?? []) walk(next, name);
  };
  walk(join(root, 'src/cli/main.ts'), 'start');
  const all = Object.entries(JOURNEYS).flatMap(([name, files]) =>
    files.map((file) => [join(root, file), name]),
  );
  for (const [id, name] of all) walk(id, name);
  for (const id of later) if (!all.some(([known]) => known === id)) walk(id, 'other');
  return loaded;
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
