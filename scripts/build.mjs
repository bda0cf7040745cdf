/**
 * Builds dist/: `node scripts/build.mjs`. With `--if-stale` it builds only when a source has changed.
 * docs/explanation/architecture.md lists the contents. Each folder is replaced only when its new version is complete, so an
 * interrupted build breaks nothing.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as buildPage } from 'vite';
import { libraryTypes } from './build/library-types.mjs';
import { licenses } from './build/licenses.mjs';
import { bundleModules, bundleProgram } from './build/program.mjs';
import { threadModules } from './build/threads.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
/** A hash of the names, sizes and times of the sources of the last build. */
const STAMP = '.stamp';
const SOURCES = ['src', 'web', 'web-relay', 'schema', 'scripts', 'package-lock.json'];
const FOLDERS = ['portal', 'modules', 'web', 'web-relay'];
/** Output of scripts/executable.mjs. */
const EXECUTABLE = 'executable';
/** Remains of builds that were killed. */
const LEFTOVER_MS = 3_600_000;

if (!process.argv.includes('--if-stale') || fingerprint() !== lastFingerprint()) await build();

async function build() {
  // Hashed before the build, so that a file saved meanwhile counts as stale.
  const sources = fingerprint();
  mkdirSync(dist, { recursive: true });
  const temporary = mkdtempSync(join(dist, '.build-'));
  try {
    const made = await Promise.all([
      bundleProgram(root, join(temporary, 'portal')),
      page('web', temporary),
      page('web-relay', temporary),
      bundleModules(root, join(temporary, 'modules')),
    ]);
    writeFileSync(join(temporary, 'portal/library.d.ts'), libraryTypes(root));
    writeFileSync(
      join(temporary, 'portal/THIRD_PARTY_LICENSES.txt'),
      licenses(root, [...made.slice(0, 3), threadModules()]),
    );
    for (const name of FOLDERS)
      replace(join(dist, name), join(temporary, name), join(temporary, `${name}.old`));
    writeFileSync(join(dist, STAMP), sources);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  tidy();
}

function page(name, folder) {
  return buildPage({
    configFile: join(root, name, 'vite.config.ts'),
    logLevel: 'warn',
    build: { outDir: join(folder, name), rolldownOptions: { checks: { bundlerTimings: false } } },
  });
}

function replace(path, by, old) {
  if (existsSync(path)) renameSync(path, old);
  renameSync(by, path);
}

/** Files of earlier builds. Those of running builds stay. */
function tidy() {
  for (const name of readdirSync(dist)) {
    const path = join(dist, name);
    const isOfRunning = name.startsWith('.build-') && Date.now() - statSync(path).mtimeMs < LEFTOVER_MS;
    if (![STAMP, EXECUTABLE].includes(name) && !FOLDERS.includes(name) && !isOfRunning)
      rmSync(path, { recursive: true, force: true });
  }
}

function fingerprint() {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    for (const path of files(join(root, source))) {
      const { size, mtimeMs } = statSync(path);
      // Relative: the gate tests the same checkout at another path.
      hash.update(`${relative(root, path)} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.digest('hex');
}

function files(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}

function lastFingerprint() {
  const stamp = join(dist, STAMP);
  return FOLDERS.every((name) => existsSync(join(dist, name))) && existsSync(stamp)
    ? readFileSync(stamp, 'utf8')
    : undefined;
}
