import { historyFolder } from '../agent/inspect/history/history.js';
import type { HistoryFolder } from '../agent/inspect/history/files.js';
import { idText } from '../agent/inspect/history/ids.js';
import type { Outcome, RequestRow } from '../agent/inspect/wire.js';
import { findConfig } from '../config/files/find.js';
import type { Identity } from '../identity/identity.js';
import { PortalError } from '../lib/errors.js';
import type { Context } from './context.js';
import { controlPlace } from './control/address.js';
import { ControlClient } from './control/client.js';
import { ownIdentity } from './identity-file.js';

export interface OwnHistory {
  readonly identity: Identity;
  readonly folder: HistoryFolder;
}

/** The request history of the identity; undefined if there is no identity yet. */
export async function ownHistory(
  context: Context,
  file: string | undefined,
): Promise<OwnHistory | undefined> {
  const own = await ownIdentity(context, file);
  return own && { identity: own.identity, folder: historyFolder(context.paths.historyDir, own.identity) };
}

export interface ShownConfig {
  /** Null for agents without a file, for example with standard input. */
  readonly path: string | null;
  readonly shown: string;
}

/** The configuration whose requests are shown; undefined for all. */
export async function configOf(
  { cwd, env }: Context,
  file: string | undefined,
): Promise<ShownConfig | undefined> {
  try {
    const found = await findConfig({ file, cwd, env });
    return found.kind === 'file' ? found : { path: null, shown: 'standard input' };
  } catch (error) {
    if (error instanceof PortalError && error.code === 'config_not_found') return undefined;
    throw error;
  }
}

/** A slow agent must not delay a list of what it stored before. */
const FLUSH_TIMEOUT_MS = 2_000;

/** Makes running agents store their latest requests. Returns whether one records requests of this identity. */
export async function flushRunning(context: Context, { identity }: OwnHistory): Promise<boolean> {
  const sockets = await controlPlace(context.paths.runDir).list();
  const flushed = await Promise.all(
    sockets.map((socket) =>
      new ControlClient(socket, { timeoutMs: FLUSH_TIMEOUT_MS })
        .flush(identity.address)
        .catch(() => undefined),
    ),
  );
  return flushed.some((each) => each?.isRecording === true);
}

export function unknownRequest(id: number): PortalError {
  return new PortalError('request_unknown', `request ${idText(id)} is not recorded, or was deleted`);
}

/** A row for JSON, with readable ids and ISO 8601 times. */
export function plainRow(row: RequestRow): object {
  const { id, startedAt, replayOf, deliveryOf, earlier: _, ...rest } = row;
  return {
    id: idText(id),
    startedAt: new Date(startedAt).toISOString(),
    ...rest,
    ...(replayOf !== undefined && { replayOf: idText(replayOf) }),
    ...(deliveryOf !== undefined && { deliveryOf: idText(deliveryOf) }),
  };
}

const WORDS: Readonly<Record<Outcome, string>> = {
  open: 'open',
  switched: 'open',
  broken: 'broken',
  done: '',
};

export function statusText({ status, outcome, portal }: RequestRow): string {
  const held = portal?.code === 'held' ? 'held' : '';
  return [status === undefined ? '' : String(status), WORDS[outcome], held].filter(Boolean).join(' ');
}

export const msText = (ms: number | undefined): string =>
  ms === undefined
    ? ''
    : ms < 1_000
      ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
      : `${(ms / 1_000).toFixed(2)} s`;
