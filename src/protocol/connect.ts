import type { Identity } from '../identity/identity.js';
import { recoverAddress } from '../identity/keys.js';
import { checksummed } from '../lib/eip55.js';
import { PortalError } from '../lib/errors.js';

/**
 * Private access (`portal connect`): what an agent and a visitor say after their TLS handshake and before the bytes of the
 * service. Each proves its identity with a signature over the TLS exporter value, the agent first. So each knows that this
 * TLS session ends at the other, whatever certificate a relay uses. docs/reference/protocol.md describes it.
 */

/** What both sides sign. */
export interface Connected {
  /** The server name of the TLS handshake. */
  readonly hostname: string;
  /** The TLS session, from `channelOf` at either end. */
  readonly channel: string;
}

/** `check`: the agent confirms that the visitor may connect, and closes. */
export type ConnectPurpose = 'connect' | 'check';

/** Why an agent denies a connection. */
export type Denial = 'identity' | 'address' | 'proof' | 'busy';

const ADDRESS = '0x[0-9a-fA-F]{40}';
const PROOF = new RegExp(`^(agent|connect|check) (${ADDRESS}) (0x[0-9a-f]{130})$`);

/** The agent's first line, without its end. */
export function agentLine(identity: Identity, at: Connected): string {
  return `agent ${identity.address} ${identity.sign(agentText(at))}`;
}

/** The visitor's line. `agent` is the proven address of the agent. */
export function visitorLine(
  identity: Identity,
  purpose: ConnectPurpose,
  at: Connected & { readonly agent: string },
): string {
  return `${purpose} ${identity.address} ${identity.sign(visitorText(at))}`;
}

/** The address that an agent's first line proves, EIP-55. Throws `protocol`, or `agent_untrusted` for an invalid proof. */
export function provenAgent(line: string, at: Connected): string {
  const { verb, address, signature } = readProof(line, 'agent');
  if (verb !== 'agent') throw malformed('agent');
  if (proves(agentText(at), signature, address)) return address;
  throw new PortalError(
    'agent_untrusted',
    `this connection to ${at.hostname} does not end at the agent of ${address}: something on the path reads it`,
  );
}

/** A visitor's line. Its proof is verified separately, because that is expensive. Throws `protocol`. */
export interface Claim {
  readonly purpose: ConnectPurpose;
  /** EIP-55. */
  readonly address: string;
  isProven(at: Connected & { readonly agent: string }): boolean;
}

export function readClaim(line: string): Claim {
  const { verb, address, signature } = readProof(line, 'visitor');
  if (verb === 'agent') throw malformed('visitor');
  return { purpose: verb, address, isProven: (at) => proves(visitorText(at), signature, address) };
}

/** The agent's last line. */
export const replyLine = (denial?: Denial): string => (denial === undefined ? 'ok' : `denied ${denial}`);

/** The denial in an agent's line, of a version that may know more of them. Undefined for another line. */
export function denialIn(line: string): string | undefined {
  return /^denied ([a-z_]{1,32})$/.exec(line)?.[1];
}

function readProof(
  line: string,
  from: 'agent' | 'visitor',
): { verb: 'agent' | ConnectPurpose; address: string; signature: string } {
  const [, verb, address = '', signature = ''] = PROOF.exec(line) ?? [];
  if (verb === undefined) throw malformed(from);
  return { verb: verb as 'agent' | ConnectPurpose, address: checksummed(address), signature };
}

function malformed(from: 'agent' | 'visitor'): PortalError {
  return new PortalError('protocol', `the proof of the ${from} is malformed`);
}

function proves(text: string, signature: string, address: string): boolean {
  try {
    return recoverAddress(text, signature) === address;
  } catch {
    // An invalid signature counts like a signature of another key.
    return false;
  }
}

function agentText({ hostname, channel }: Connected): string {
  return `Portal connect\n\nFrom: agent\nHostname: ${hostname}\nChannel: ${channel}`;
}

/** It names the agent, so that a proof for one agent says nothing to another. */
function visitorText({ hostname, channel, agent }: Connected & { readonly agent: string }): string {
  return `Portal connect\n\nFrom: visitor\nHostname: ${hostname}\nAgent: ${agent}\nChannel: ${channel}`;
}
