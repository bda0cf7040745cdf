import { PortalError } from '../lib/errors.js';
import type { ControlChannel } from './session/control.js';
import { kindOf, wireMode, type Carrier, type Mode, type ServiceSpec } from './spec.js';

/** What a relay offers, from its descriptor and its `welcome`. */
export interface Offer {
  readonly capabilities: readonly string[];
  readonly carriers: readonly string[];
}

type Needs = Pick<ServiceSpec, 'mode' | 'hostname' | 'carrier'>;

/** What a service requires and the relay lacks, as text. Empty if the service can run there. */
export function missingFor(
  { mode, hostname, carrier }: Needs,
  { capabilities, carriers }: Offer,
  inChain = false,
): string[] {
  const missing: string[] = [];
  const asked = wireMode(mode);
  if (!capabilities.includes(asked)) missing.push(`mode ${asked}`);
  if (hostname !== undefined && !capabilities.includes('hostname')) missing.push('custom domains');
  const by = requestedCarrier(mode, carrier, inChain);
  // Packets over UDP are part of the mode.
  const isPackets = kindOf(mode) === 'udp' && by !== 'ws';
  if (!isPackets && !carriers.includes(by)) missing.push(`carrier ${by}`);
  return missing;
}

const PORT_FLAGS = ['tcp', 'udp'].map((mode) => ({ missing: `mode ${mode}`, flag: `--${mode}-ports` }));

/** What to do about `missing` capabilities. */
export function hintFor(missing: readonly string[]): string {
  const flags = PORT_FLAGS.filter((each) => missing.includes(each.missing)).map(({ flag }) => flag);
  return flags.length === 0
    ? 'Use another relay for the service.'
    : `Use another relay for the service, or start this one with \`${flags.map((flag) => `${flag} FIRST-LAST`).join(' ')}\`.`;
}

/** Throws `capability_missing` if the relay does not offer what a service needs, before anything is requested. */
export function checkOffer(relay: string, spec: Needs, { welcome, via }: ControlChannel): void {
  const missing = missingFor(spec, welcome, via?.hides);
  if (missing.length === 0) return;
  throw new PortalError('capability_missing', `${relay} does not offer ${missing.join(', ')}`, {
    hint: hintFor(missing),
  });
}

/** In a chain everything is TLS to the final relay, so the relays in between cannot read it. */
const CHAIN_CARRIER = { tls: 'tls', tcp: 'tls', udp: 'ws' } as const;

/** The carrier to request from a relay. */
export function requestedCarrier(mode: Mode, carrier: Carrier, inChain: boolean): Carrier {
  if (inChain) return CHAIN_CARRIER[kindOf(mode)];
  // A TCP port's connections are not TLS of the visitor.
  return kindOf(mode) === 'tcp' && carrier === 'raw' ? 'tls' : carrier;
}
