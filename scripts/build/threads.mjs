import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

/**
 * Modules `threads:NAME`, which export the program of a worker thread as text, with everything that it imports. A thread that
 * starts from text needs no file, so it also works in the standalone executable and in tests. A plugin for rolldown and vite. The
 * types are in src/lib/passwords/threads.d.ts.
 */

const SOURCES = { passwords: 'src/lib/passwords/thread.ts' };

/** Modules in the programs, for the licenses of their packages. */
const moduleIds = new Set();
export const threadModules = () => ({ output: [{ moduleIds: [...moduleIds] }] });

const PREFIX = 'threads:';

export function threads() {
  return {
    name: 'threads',
    resolveId: { filter: { id: /^threads:/ }, handler: (id) => `\0${id}` },
    load: {
      filter: { id: /^\0threads:/ },
      async handler(id) {
        const source = SOURCES[id.slice(PREFIX.length + 1)];
        if (!source) throw new Error(`no program for ${id.slice(1)}: add it to scripts/build/threads.mjs`);
        const input = fileURLToPath(new URL(`../../${source}`, import.meta.url));
        const bundle = await rolldown({
          input,
          platform: 'node',
          logLevel: 'silent',
          resolve: { mainFields: ['module', 'main'] },
          // hash-wasm creates one for each algorithm, with the algorithm's code behind it.
          treeshake: { manualPureFunctions: ['Mutex'] },
        });
        const { output } = await bundle.generate({ format: 'cjs', codeSplitting: false });
        for (const file of await bundle.watchFiles) this.addWatchFile(file);
        await bundle.close();
        for (const module of output[0].moduleIds) moduleIds.add(module);
        return `export const program = ${JSON.stringify(output[0].code)};\n`;
      },
    },
  };
}
