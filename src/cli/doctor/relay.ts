import type { RelaySpec, ServiceSpec } from '../../agent/spec.js';
import { checkChain } from './chain.js';
import { checkEmbedded } from './embedded-relay.js';
import type { RelayContext, RelayFindings } from './relay-findings.js';
import { checkUrlRelay } from './url-relay.js';

/** @param services the services that are published on this relay */
export async function checkRelay(
  spec: RelaySpec,
  services: readonly ServiceSpec[],
  context: RelayContext,
): Promise<RelayFindings> {
  if (spec.kind === 'embedded') return checkEmbedded(spec, context);
  if (spec.kind === 'chain') return checkChain(spec, services, context);
  return checkUrlRelay(spec, services, context);
}
