import type { Logger } from '../../lib/logger.js';
import { resetSocket } from '../../net/reset.js';
import type { ServiceSpec } from '../spec.js';
import { PipedHandler, type PipedHooks } from './piped.js';

/**
 * Mode `tcp`: the visitor's bytes as they are. There are no words for "the service is down" that every protocol
 * knows but the one that TCP has itself: a reset.
 */
export class TcpHandler extends PipedHandler {
  constructor(spec: ServiceSpec, log: Logger, hooks: Pick<PipedHooks, 'onReached' | 'onDown'>) {
    super(spec, log, { ...hooks, turnAway: resetSocket });
  }
}
