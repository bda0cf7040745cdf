import pLimit from 'p-limit';
import { asPortalError } from '../lib/errors.js';
import { deadline } from '../lib/wait.js';
import { isListening } from '../net/listeners.js';
import { formatTarget, type Target } from '../net/target.js';
import type { ServiceSpec } from './spec.js';
import { connectTarget, upstreamOf } from './upstream.js';

/** Local services that are checked at a time. */
const checking = pLimit(64);
/** A forwarder (docker, ssh -L) with nothing behind it accepts the connection, and closes it within this. */
const FORWARDER_MS = 100;

export interface CheckOptions {
  /** It did not answer before: only a connection tells that it does now. */
  readonly isDoubted: boolean;
  readonly signal: AbortSignal;
}

/** What a check found: why the target does not answer, or that it does, or that it cannot be told. */
export type Found = { readonly error: string | undefined } | 'unknown';

/**
 * Checks whether `target` of `spec` answers. Where the system tells that something listens, the service does not hear of it; else
 * it is a connection. A target of mode udp is asked nothing, ever. Bounded.
 */
export async function checkTarget(
  spec: ServiceSpec,
  target: Target,
  { isDoubted, signal }: CheckOptions,
): Promise<Found> {
  if (spec.mode === 'udp') return checkDatagrams(target);
  if (!isDoubted && !isTls(target) && (await isListening(target, 'tcp'))) return { error: undefined };
  return checking(async () => {
    try {
      const socket = await connectTarget(target, upstreamOf(spec), signal);
      const isOpen = await staysOpen(socket);
      socket.destroy();
      return { error: isOpen ? undefined : `${formatTarget(target)} closed the connection at once` };
    } catch (error) {
      return { error: asPortalError(error).message };
    }
  });
}

async function checkDatagrams(target: Target): Promise<Found> {
  const isThere = await isListening(target, 'udp');
  if (isThere === undefined) return 'unknown';
  const port = target.kind === 'tcp' ? target.port : 0;
  return { error: isThere ? undefined : `nothing receives datagrams on port ${port}` };
}

/** Its certificate may be the reason why no visitor gets there. */
const isTls = (target: Target): boolean => target.kind === 'tcp' && target.tls;

/** Whether the other side leaves the connection open for a moment, or says anything. */
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
