import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const SHELL_MS = 2_000;

/**
 * How many file descriptors this process may open; undefined: unlimited or unknown. Node raises the soft limit to the hard
 * limit at its start.
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
  // Node cannot read its own limits, but a child process inherits them.
  const asked = await promisify(execFile)('/bin/sh', ['-c', 'ulimit -n'], { timeout: SHELL_MS }).catch(
    () => undefined,
  );
  const text = asked?.stdout.trim() ?? '';
  return /^\d+$/.test(text) ? Number(text) : undefined;
}
