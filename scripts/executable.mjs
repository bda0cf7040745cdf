/**
 * Builds dist/executable/portal from the Node that runs this script: Portal and Node in one file, for this platform.
 * `npm run executable`, on Node 22.13 or newer. See docs/explanation/architecture.md.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'postject';
import { bundleExecutable } from './build/program.mjs';

const MINIMUM = [22, 13];
/** The marker by which Node finds the embedded program (https://nodejs.org/api/single-executable-applications.html). */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
/** Files of the package that the program reads besides its code. */
const FILES = ['package.json', 'schema', 'dist/web', 'dist/web-relay'];

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'dist/executable');
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1])) {
  process.stderr.write(
    `The executable needs Node ${MINIMUM.join('.')} or newer, which includes SQLite. This is Node ${process.version}.\n`,
  );
  process.exit(1);
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
await bundleExecutable(root, folder);
writeFileSync(join(folder, 'files.json'), JSON.stringify(filesOf()));
const blob = join(folder, 'portal.blob');
const config = {
  main: join(folder, 'executable.cjs'),
  output: blob,
  disableExperimentalSEAWarning: true,
  useCodeCache: true,
  assets: { files: join(folder, 'files.json') },
};
writeFileSync(join(folder, 'sea.json'), JSON.stringify(config));
execFileSync(process.execPath, ['--experimental-sea-config', join(folder, 'sea.json')], { stdio: 'ignore' });

const name = process.platform === 'win32' ? 'portal.exe' : 'portal';
const portal = join(folder, name);
copyFileSync(process.execPath, portal);
chmodSync(portal, 0o755);
const isMac = process.platform === 'darwin';
if (isMac) execFileSync('codesign', ['--remove-signature', portal]);
await inject(portal, 'NODE_SEA_BLOB', readFileSync(blob), {
  sentinelFuse: FUSE,
  ...(isMac && { machoSegmentName: 'NODE_SEA' }),
});
if (isMac) execFileSync('codesign', ['--sign', '-', portal]);
copyFileSync(join(root, 'dist/portal/THIRD_PARTY_LICENSES.txt'), join(folder, 'THIRD_PARTY_LICENSES.txt'));
for (const part of ['executable.cjs', 'files.json', 'portal.blob', 'sea.json']) rmSync(join(folder, part));
process.stdout.write(`${portal}\n`);

function filesOf() {
  const paths = FILES.flatMap((path) =>
    path.endsWith('.json')
      ? [path]
      : readdirSync(join(root, path), { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name).slice(root.length)),
  );
  return Object.fromEntries(
    paths.map((path) => [path.replaceAll('\\', '/'), readFileSync(join(root, path), 'utf8')]),
  );
}
