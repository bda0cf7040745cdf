import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { HistoryLimits } from '../../src/agent/inspect/history/limits.js';
import { historyFolder, RequestHistory } from '../../src/agent/inspect/history/history.js';
import { firstOfRun } from '../../src/agent/inspect/history/ids.js';
import { search, type Found, type Wanted } from '../../src/agent/inspect/history/search.js';
import { CapturedBody, type Recording } from '../../src/agent/inspect/recording.js';
import type { Identity } from '../../src/identity/identity.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { silent } from '../../src/lib/logger.js';

/** A history of requests in a separate folder, and sample requests. */

export const SOURCE = '/srv/portal.yaml';
const NO_NAMES: ReadonlySet<string> = new Set();

export function bodyOf(text: string | Buffer): CapturedBody {
  const bytes = Buffer.from(text);
  return CapturedBody.of(bytes, bytes.length, undefined);
}

export function recordingOf(id: number, over: Partial<Recording> = {}): Recording {
  return {
    id,
    service: 'app',
    startedAt: Date.now(),
    startedMs: 0,
    method: 'GET',
    target: `/item/${id % 1_000_000_000}`,
    authority: 'app.localhost',
    hostname: 'app.localhost',
    remote: '203.0.113.7',
    version: '1.1',
    requestHeaders: ['Host', 'app.localhost', 'Authorization', 'Bearer s3cr3t-header'],
    requestBody: bodyOf('s3cr3t-question'),
    requestTrailers: [],
    upgrade: undefined,
    replayOf: undefined,
    outcome: 'done',
    status: 200,
    reason: 'OK',
    responseHeaders: ['Content-Type', 'text/plain'],
    responseBody: bodyOf('s3cr3t-answer'),
    responseTrailers: [],
    firstByteMs: 1,
    totalMs: 2,
    ...over,
  };
}

export interface Place {
  readonly folder: string;
  /** The folder of its identity's files. */
  readonly own: string;
  readonly identity: Identity;
  /** What users are told. */
  readonly warnings: string[];
  now: number;
  open(options?: { source?: string | null; limits?: Partial<HistoryLimits> }): Promise<RequestHistory>;
  search(wanted?: Wanted, limit?: number): Promise<Found>;
  files(): Promise<string[]>;
  /** Every byte on disk, as text. */
  everything(): Promise<string>;
}

export async function historyPlace(identity = generateIdentity(), at?: string): Promise<Place> {
  const folder = at ?? (await mkdtemp(join(tmpdir(), 'portal-history-')));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const warnings: string[] = [];
  const reader = historyFolder(folder, identity);
  const files = async (): Promise<string[]> =>
    (await readdir(reader.path).catch(() => [])).toSorted((a, b) => (a < b ? -1 : 1));
  const place: Place = {
    folder,
    own: reader.path,
    identity,
    warnings,
    now: Date.now(),
    open: async ({ source = SOURCE, limits = {} } = {}) => {
      const history = await RequestHistory.open({
        folder,
        identity,
        source,
        limits,
        warn: (message) => warnings.push(message),
        log: silent,
        now: () => place.now,
      });
      onTestFinished(() => history.close());
      return history;
    },
    search: (wanted = {}, limit = 100) => search(historyFolder(folder, identity), wanted, limit, place.now),
    files,
    everything: async () => {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true });
      const found = entries.filter((entry) => entry.isFile());
      const texts = found.map((entry) => readFile(join(entry.parentPath, entry.name), 'latin1'));
      return [...entries.map(({ name }) => name), ...(await Promise.all(texts))].join('\n');
    },
  };
  return place;
}

/** Writes requests `from` to `to` of the history's run. */
export async function fill(
  history: RequestHistory,
  from: number,
  to: number,
  over: (number: number) => Partial<Recording> = () => ({}),
  mask = NO_NAMES,
): Promise<void> {
  for (let number = from; number <= to; number++)
    history.add(recordingOf(firstOfRun(history.run) + number, over(number)), mask);
  await history.flush();
}

export const targets = ({ rows }: Found): string[] => rows.map(({ target }) => target);
