import pLimit from 'p-limit';
import { asPortalError } from '../lib/errors.js';
import { targetsOf, type ServiceSpec } from './spec.js';
import { connectTarget, upstreamOf } from './upstream.js';

/** Local services that `status` looks at at a time. */
const checking = pLimit(64);

/** Connects to every target of `spec`; resolves with why one of them does not answer, undefined when all do. */
export async function checkTargets(spec: ServiceSpec): Promise<string | undefined> {
  try {
    for (const target of targetsOf(spec)) {
      const socket = await checking(() => connectTarget(target, upstreamOf(spec)));
      socket.destroy();
    }
    return undefined;
  } catch (error) {
    return asPortalError(error).message;
  }
}
