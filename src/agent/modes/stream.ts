import type { Logger } from '../../lib/logger.js';
import { conversationIn } from '../../net/conversation/conversation.js';
import type { ServiceSpec } from '../spec.js';
import { notRunning, notTrusted } from '../pages/pages.js';
import { alpnOf } from '../target/upstream.js';
import { rejectVisitor } from '../pages/reject-visitor.js';
import { PipedHandler, type PipedHooks } from './piped.js';

/** Mode `stream`: forwards the bytes inside the visitor's TLS to the target, in any protocol. */
export class StreamHandler extends PipedHandler {
  constructor(spec: ServiceSpec, log: Logger, hooks: Pick<PipedHooks, 'onReached' | 'onDown' | 'admits'>) {
    super(spec, log, {
      ...hooks,
      follow: (visitor) => conversationIn(alpnOf(visitor)),
      reject: (socket, service, { code }) =>
        rejectVisitor(socket, code === 'target_untrusted' ? notTrusted(service) : notRunning(service)),
    });
  }
}
