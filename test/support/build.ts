import { execFileSync } from 'node:child_process';

/** Tests of the command line run what a user runs: bin/portal.js over a fresh dist/. Built once a run. */
export default function setup(): void {
  execFileSync('npx', ['tsc', '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
}
