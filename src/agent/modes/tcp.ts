import type { Logger } from '../../lib/logger.js';
import { resetSocket } from '../../net/reset.js';
import type { ServiceSpec } from '../spec.js';
import { PipedHandler, type PipedHooks } from './piped.js';

/**
 * Mode `tcp`: forwards the visitor's bytes unchanged. The only way to say "the service is down" in every protocol is TCP's
 * own: a reset.
 */
export class TcpHandler extends PipedHandler {
  constructor(spec: ServiceSpec, log: Logger, hooks: Pick<PipedHooks, 'onReached' | 'onDown'>) {
    super(spec, log, { ...hooks, turnAway: resetSocket });
  }
}
