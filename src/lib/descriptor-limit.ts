import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const SHELL_MS = 2_000;

/**
 * How many file descriptors this process may have open; undefined: unlimited, or unknown. At its start, node raises the
 * soft limit to the hard one.
 */
export async function descriptorLimit(
  platform: NodeJS.Platform = process.platform,
): Promise<number | undefined> {
  if (platform === 'win32') return undefined;
  if (platform === 'linux') {
    const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
    const [, soft] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
    if (soft !== undefined) return Number(soft);
  }
  // A child has the limits of its parent, and node offers no call for its own.
  const asked = await promisify(execFile)('/bin/sh', ['-c', 'ulimit -n'], { timeout: SHELL_MS }).catch(
    () => undefined,
  );
  const text = asked?.stdout.trim() ?? '';
  return /^\d+$/.test(text) ? Number(text) : undefined;
}
