import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { PRIVATE_MODE, replaceFile } from '../../lib/private-file.js';

/** The last valid copy of a registry, as stored in its file. */
export interface Copy {
  readonly source: string;
  readonly etag?: string;
  readonly fetchedAt: string;
  readonly text: string;
}

/** An HTTP entity tag. Do not send an invalid one back. */
const ETAG = /^(W\/)?"[\x21\x23-\x7e]{0,200}"$/;

export function copyOf(source: string, text: string, etag: string | undefined): Copy {
  const isTag = etag !== undefined && ETAG.test(etag);
  return { source, text, fetchedAt: new Date().toISOString(), ...(isTag && { etag }) };
}

/** The copy saved for the next start. Undefined if there is no valid one. */
export async function readCopy(
  folder: string | undefined,
  source: string,
  log: Logger,
): Promise<Copy | undefined> {
  if (folder === undefined) return undefined;
  try {
    const copy = JSON.parse(await readFile(fileOf(folder, source), 'utf8')) as Copy;
    return copy.source === source && typeof copy.text === 'string' ? copy : undefined;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT')
      log.info({ err: error }, 'the saved copy of the registry is unusable');
    return undefined;
  }
}

export async function keepCopy(folder: string | undefined, copy: Copy, log: Logger): Promise<void> {
  if (folder === undefined) return;
  try {
    await replaceFile(fileOf(folder, copy.source), `${JSON.stringify(copy)}\n`, PRIVATE_MODE);
  } catch (error) {
    log.warn({ err: error }, 'cannot save the registry for the next start');
  }
}

function fileOf(folder: string, source: string): string {
  return join(folder, `${createHash('sha256').update(source).digest('hex').slice(0, 32)}.json`);
}
