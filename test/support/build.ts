import { execFileSync } from 'node:child_process';

/** Tests of the command line run what a user runs: bin/portal.js over a fresh dist/, the inspector's page included. Built once a run. */
export default function setup(): void {
  execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
}
