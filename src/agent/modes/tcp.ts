import type { Logger } from '../../lib/logger.js';
import { resetSocket } from '../../net/splice/reset.js';
import type { ServiceSpec } from '../spec.js';
import { PipedHandler, type PipedHooks } from './piped.js';

/**
 * Mode `tcp`: forwards the visitor's bytes unchanged. A TCP reset is the only error that every protocol shares, so it
 * reports a service that is down.
 */
export class TcpHandler extends PipedHandler {
  constructor(spec: ServiceSpec, log: Logger, hooks: Pick<PipedHooks, 'onReached' | 'onDown'>) {
    super(spec, log, { ...hooks, reject: resetSocket });
  }
}
