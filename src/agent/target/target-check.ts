import pLimit from 'p-limit';
import { asPortalError } from '../../lib/errors.js';
import { deadline } from '../../lib/wait.js';
import { isListening } from '../../net/listen/listeners.js';
import { formatTarget, type Target } from '../../net/target/target.js';
import type { ServiceSpec } from '../spec.js';
import { connectTarget, upstreamOf } from './upstream.js';
import { folderProblem } from '../folders/folder-problem.js';

/** Concurrent checks of local services. */
const checking = pLimit(64);
/** A forwarder (docker, ssh -L) accepts a connection while its service is down, and closes it within this time. */
const FORWARDER_MS = 100;

export interface CheckOptions {
  /** It was unreachable before, so only a new connection proves that it is reachable now. */
  readonly wasDown: boolean;
  /** It was reachable before: an open port is enough. Its TLS is not checked. */
  readonly isRoutine?: boolean;
  readonly signal: AbortSignal;
}

/** The result of a check: why the target is unreachable, that it is reachable, or that it is unknown. */
export type Found = { readonly error: string | undefined; readonly isUnnoticed?: true } | 'unknown';

/**
 * Checks whether `target` of `spec` is reachable. If the system can list listening sockets, the service sees no
 * connection. A target of mode udp gets no datagrams. Has a timeout.
 */
export async function checkTarget(
  spec: ServiceSpec,
  target: Target,
  { wasDown, isRoutine = false, signal }: CheckOptions,
): Promise<Found> {
  if (spec.mode === 'udp') return checkDatagrams(target);
  if (target.kind === 'tcp' && target.folder !== undefined) return checkFolder(target.folder);
  if (!wasDown && (isRoutine || !isTls(target)) && (await isListening(target, 'tcp')))
    return { error: undefined, isUnnoticed: true };
  return checking(async () => {
    try {
      const asked = isRoutine && target.kind === 'tcp' ? { ...target, tls: false } : target;
      const socket = await connectTarget(asked, upstreamOf(spec), signal);
      const isOpen = await staysOpen(socket);
      socket.destroy();
      return { error: isOpen ? undefined : `${formatTarget(target)} closed the connection immediately` };
    } catch (error) {
      if (signal.aborted) return 'unknown';
      return { error: asPortalError(error).message };
    }
  });
}

/** Its server always responds. */
async function checkFolder(folder: string): Promise<Found> {
  return { error: await folderProblem(folder), isUnnoticed: true };
}

async function checkDatagrams(target: Target): Promise<Found> {
  const isThere = await isListening(target, 'udp');
  if (isThere === undefined) return 'unknown';
  const port = target.kind === 'tcp' ? target.port : 0;
  return { error: isThere ? undefined : `nothing receives datagrams on port ${port}`, isUnnoticed: true };
}

/** Its certificate may be the reason why visitors fail. */
const isTls = (target: Target): boolean => target.kind === 'tcp' && target.tls;

/** Whether the peer keeps the connection open for a moment, or sends anything. */
function staysOpen(socket: NodeJS.ReadableStream & { destroyed: boolean }): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (isOpen: boolean): void => {
      cancel();
      socket.off('data', onData).off('end', onEnd).off('close', onEnd);
      resolve(isOpen);
    };
    const onData = (): void => finish(true);
    const onEnd = (): void => finish(false);
    const cancel = deadline(FORWARDER_MS, () => finish(!socket.destroyed));
    socket.on('data', onData).once('end', onEnd).once('close', onEnd);
  });
}
