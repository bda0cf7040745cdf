import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { AgentKey } from '../control/address.js';

/**
 * The key of the agent that runs for a file: the folder's real path, and the file's name as typed. So a symbolic link
 * keeps its agent when it points to another file.
 */
export async function agentKey(file: string): Promise<AgentKey> {
  const folder = dirname(file);
  return { file: join(await realpath(folder).catch(() => folder), basename(file)) };
}
