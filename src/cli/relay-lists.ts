import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import pLimit from 'p-limit';
import { asPortalError, PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { delay } from '../lib/wait.js';
import { readDenyList, type DenyList } from '../relay/denied.js';
import { readLabelList, withUsualLabels } from '../relay/labels.js';
import type { Relay, RelayOptions } from '../relay/relay.js';
import type { Context } from './context.js';
import { isBlank, steadyText } from './steady-text.js';

/** Looked at this often: a file that is replaced, mounted or linked is noticed as well as one that is written. */
const LOOK_EVERY_MS = 1_000;

interface FollowedList {
  /** Reads the file now. What cannot be read is logged, and changes nothing. */
  reread(): Promise<void>;
  close(): void;
}

interface FollowListOptions<T> {
  readonly file: string;
  readonly parse: (text: string) => T;
  readonly onList: (list: T) => void;
  readonly log: Logger;
}

/**
 * Lists of `portal relay` (`--deny`, `--allow`, `--reserved-labels`): reads one, and hands on each that follows. An empty list of
 * `--allow` disconnects every agent, so what a save leaves halfway must not count.
 */
async function followList<T>({ file, parse, onList, log }: FollowListOptions<T>): Promise<FollowedList> {
  const read = (): Promise<string> => readFile(file, 'utf8');
  onList(await parsed(file, parse, read));
  const stop = new AbortController();
  const { signal } = stop;
  const readAgain = async (): Promise<void> => {
    try {
      const steady = steadyText({ read, pause: (ms) => delay(ms, signal) });
      onList(await parsed(file, parse, async () => notBlank(await steady)));
      log.info({ file }, 'read the list again');
    } catch (error) {
      if (signal.aborted) return;
      log.error({ file, err: error }, 'the list is invalid: the one before stays in force');
    }
  };
  // One at a time, so that of two saves the later one counts.
  const turns = pLimit(1);
  const reread = (): Promise<void> => turns(readAgain);
  const look = (): void => {
    if (turns.pendingCount === 0) void reread();
  };
  watchFile(file, { interval: LOOK_EVERY_MS, persistent: false }, look);
  const close = (): void => {
    unwatchFile(file, look);
    stop.abort(new PortalError('aborted', 'the relay stops'));
  };
  return { reread, close };
}

export interface ListOptions {
  /** Files, as typed. */
  readonly deny?: string;
  readonly allow?: string;
  readonly reservedLabels?: string;
}

/** The lists of one `portal relay`. */
export interface RelayLists {
  /** What the relay is started with. */
  readonly first: Pick<RelayOptions, 'deny' | 'allow' | 'reservedLabels'>;
  /** Has `relay` follow each change: what has changed while the relay was starting, too. */
  follow(relay: Relay): void;
  reread(): Promise<void>;
  close(): void;
}

export async function followLists({ cwd }: Context, options: ListOptions, log: Logger): Promise<RelayLists> {
  let relay: Relay | undefined;
  let deny: DenyList | undefined;
  let allow: DenyList | undefined;
  let reservedLabels = withUsualLabels();
  const followed: FollowedList[] = [];
  const follow = async <T>(
    file: string | undefined,
    parse: (text: string) => T,
    onList: (list: T) => void,
  ): Promise<void> => {
    if (file === undefined) return;
    followed.push(await followList({ file: resolve(cwd, file), parse, onList, log }));
  };
  const close = (): void => {
    for (const one of followed) one.close();
  };
  try {
    await follow(options.deny, readDenyList, (list) => {
      deny = list;
      relay?.deny(list);
    });
    await follow(options.allow, readDenyList, (list) => {
      allow = list;
      relay?.allow(list);
    });
    await follow(options.reservedLabels, readLabelList, (list) => {
      reservedLabels = withUsualLabels(list);
      relay?.reserveLabels(reservedLabels);
    });
  } catch (error) {
    close();
    throw error;
  }
  return {
    get first() {
      return { ...(deny && { deny }), ...(allow && { allow }), reservedLabels };
    },
    follow: (started) => {
      relay = started;
      if (deny) started.deny(deny);
      if (allow) started.allow(allow);
      started.reserveLabels(reservedLabels);
    },
    reread: async () => {
      await Promise.all(followed.map((one) => one.reread()));
    },
    close,
  };
}

function notBlank(text: string): string {
  if (!isBlank(text)) return text;
  throw new PortalError('usage', 'the file is empty', {
    hint: 'For a list of nobody, write a comment into it: # nobody',
  });
}

async function parsed<T>(file: string, parse: (text: string) => T, read: () => Promise<string>): Promise<T> {
  try {
    return parse(await read());
  } catch (error) {
    const { message, hint } = asPortalError(error);
    throw new PortalError('usage', `${file}: ${message}`, {
      cause: error,
      ...(hint !== undefined && { hint }),
    });
  }
}
