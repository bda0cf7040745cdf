import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** The relay's agents page: static files that the relay serves at /agents. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: '/agents/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: fileURLToPath(new URL('../dist/web-relay', import.meta.url)),
    emptyOutDir: true,
    target: 'es2023',
    // The page's policy forbids data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
