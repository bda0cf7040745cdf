import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { killEverything } from './program.mjs';

/** The beginning and the end of each run of the harness. */

const PREFIX = 'portal-chaos-';

/**
 * Opens the folder of this run, and takes the run down when this process is asked to end. `logs`: a folder for copies of the
 * files that `isKept` accepts. `stop` aborts when the run ends.
 */
export function openRun(progress, { logs, isKept }) {
  clearLeftovers();
  const folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  const stop = new AbortController();
  /** Ends every process, and removes the folder. */
  const takeDown = async () => {
    stop.abort();
    if (logs !== undefined) keepFiles(folder, resolve(logs), isKept);
    await killEverything();
    rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.once(signal, () => {
      progress(`${signal}: shutting down`);
      void takeDown().then(() => process.exit(1));
    });
  return { folder, stop: stop.signal, takeDown };
}

function keepFiles(folder, to, isKept) {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(folder, { recursive: true }).map(String).filter(isKept))
    cpSync(join(folder, name), join(to, name.replaceAll('/', '-')));
}

/** Removes the folders of runs that were killed. Their processes and networks ended with them. */
function clearLeftovers() {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length).split('-')[0]) : 0;
    if (pid > 0 && !existsSync(`/proc/${pid}`))
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** The checkout that runs; undefined outside of one. */
export function commit() {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      encoding: 'utf8',
      timeout: 5_000,
    }).trim();
  } catch {
    return undefined;
  }
}
