import { execFileSync } from 'node:child_process';

/** Tests of the command line run what a user runs: bin/portal.js on a fresh dist/, pages included. */
export default function setup(): void {
  execFileSync(process.execPath, ['scripts/build.mjs', '--if-stale'], { stdio: 'inherit' });
}
