import { isLoopback } from '../../net/target/target.js';
import { isEmbeddedKey, kindOf, type ServiceSpec } from '../spec.js';

/**
 * The public port to request: the configured one, else the previous one, so that visitors find the service there
 * again. A relay on this machine must not open the target's own port: the service could not start, or the relay would
 * forward to itself.
 *
 * @param relay the relay's key, from `relayKey`
 */
export function wantedPort(
  relay: string,
  { mode, port, target }: Pick<ServiceSpec, 'mode' | 'port' | 'target'>,
  previous?: number,
): number | undefined {
  if (kindOf(mode) === 'tls') return undefined;
  const wanted = port ?? previous;
  const isTargets = target.kind === 'tcp' && isLoopback(target.host) && target.port === wanted;
  return isTargets && isOnThisMachine(relay) ? undefined : wanted;
}

function isOnThisMachine(relay: string): boolean {
  return isEmbeddedKey(relay) || (URL.canParse(relay) && isLoopback(new URL(relay).hostname));
}
