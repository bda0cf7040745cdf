import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import pLimit from 'p-limit';
import { asPortalError, cannotRead, isMissing, PortalError, unreadableHint } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { delay } from '../../lib/wait.js';
import { readDenyList, type DenyList } from '../../relay/protection/access-lists.js';
import { readLabelList, withDefaultLabels } from '../../relay/names/labels.js';
import type { Relay, RelayOptions } from '../../relay/relay.js';
import type { Context } from '../context.js';
import { isBlank, steadyText } from './steady-text.js';

/** Polling also notices files that are replaced, mounted or linked. */
const POLL_MS = 1_000;

interface FollowedList {
  /** Reads the file now. After an error, which is logged, resolves with false, and the current list stays. */
  reload(): Promise<boolean>;
  close(): void;
}

interface FollowListOptions<T> {
  readonly file: string;
  readonly parse: (text: string) => T;
  readonly onList: (list: T) => void;
  readonly log: Logger;
}

/**
 * Reads a list of `portal relay` (`--deny`, `--allow`, `--reserved-labels`) and reports each change. An empty
 * `--allow` list disconnects every agent, so an incomplete save must not count.
 */
async function followList<T>({ file, parse, onList, log }: FollowListOptions<T>): Promise<FollowedList> {
  onList(await readFirst(file, parse));
  const stop = new AbortController();
  const { signal } = stop;
  const readList = async (): Promise<boolean> => {
    try {
      const steady = steadyText({ read: () => readFile(file, 'utf8'), pause: (ms) => delay(ms, signal) });
      onList(parse(notBlank(await steady)));
      log.info({ file }, 'reloaded the list');
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      // One line for the operator: a stack would say nothing about the file.
      const { message: reason, hint } = asPortalError(error);
      log.error(
        { file, reason, ...(hint !== undefined && { hint }) },
        'the list is invalid; the relay keeps the previous one',
      );
      return false;
    }
  };
  // One read at a time, so that the later of two saves wins.
  const turns = pLimit(1);
  const reload = (): Promise<boolean> => turns(readList);
  const check = (): void => {
    if (turns.pendingCount === 0) void reload();
  };
  watchFile(file, { interval: POLL_MS, persistent: false }, check);
  const close = (): void => {
    unwatchFile(file, check);
    stop.abort(new PortalError('aborted', 'the relay stops'));
  };
  return { reload, close };
}

export interface ListOptions {
  /** Files, as typed. */
  readonly deny?: string;
  readonly allow?: string;
  readonly reservedLabels?: string;
}

type ListedRelay = Pick<Relay, 'deny' | 'allow' | 'reserveLabels'>;

/** The identity and address lists of one `portal relay`. */
export interface RelayLists {
  /** The lists that the relay starts with. */
  readonly first: Pick<RelayOptions, 'deny' | 'allow' | 'reservedLabels'>;
  /** Gives `relay` each change, including changes while it was starting. */
  follow(relay: ListedRelay): void;
  /** Resolves with whether every list is valid. */
  reload(): Promise<boolean>;
  close(): void;
}

export async function followLists({ cwd }: Context, options: ListOptions, log: Logger): Promise<RelayLists> {
  let relay: ListedRelay | undefined;
  let deny: DenyList | undefined;
  let allow: DenyList | undefined;
  let reservedLabels = withDefaultLabels();
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
      reservedLabels = withDefaultLabels(list);
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
    reload: async () => (await Promise.all(followed.map((one) => one.reload()))).every(Boolean),
    close,
  };
}

function notBlank(text: string): string {
  if (!isBlank(text)) return text;
  throw new PortalError('usage', 'the file is empty', {
    hint: 'For an empty list, write a comment into the file, for example: # none',
  });
}

/** Throws a usage error that names the file. */
async function readFirst<T>(file: string, parse: (text: string) => T): Promise<T> {
  try {
    return parse(await readFile(file, 'utf8'));
  } catch (error) {
    const { message, hint } = asPortalError(error);
    const isUnreadable = (error as NodeJS.ErrnoException).syscall !== undefined;
    const remedy = isMissing(error)
      ? 'Create the file, or correct the path.'
      : (hint ?? unreadableHint(error));
    throw new PortalError('usage', isUnreadable ? cannotRead(file, error) : `${file}: ${message}`, {
      cause: error,
      ...(remedy !== undefined && { hint: remedy }),
    });
  }
}
