import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** The relay's page of agents: plain files that the relay serves itself, at /agents. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: '/agents/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: fileURLToPath(new URL('../dist/web-relay', import.meta.url)),
    emptyOutDir: true,
    target: 'es2023',
    // The page's policy allows no data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
