import { isIP } from 'node:net';
import { PortalError } from '../../lib/errors.js';
import { failureReason } from '../../lib/failure-reason.js';
import { within } from '../../lib/wait.js';
import { addressesByFamily, systemResolver, type Resolver } from '../resolve.js';
import { formatTarget, isThisMachine, type Target } from './target.js';

/** The addresses of a target in the order to try them, and the one that connected last. */

export type TcpTarget = Extract<Target, { kind: 'tcp' }>;

/** `localhost` without a resolver: hosts files differ, and some lack the name or one of its addresses. */
const THIS_MACHINE: readonly string[] = ['127.0.0.1', '::1'];

/** Keyed by the target object, so that entries of unused targets disappear. */
const lastGood = new WeakMap<Target, string>();

/** Records that `address` connected: the next connection to `target` tries it first. */
export function remember(target: TcpTarget, address: string): void {
  if (lastGood.get(target) !== address) lastGood.set(target, address);
}

export interface AddressOptions {
  readonly ms: number;
  /** The family to try first. Default: the system's preference. */
  readonly prefer?: 'ipv4';
  readonly signal?: AbortSignal | undefined;
  readonly resolver?: Resolver;
}

/**
 * The addresses of `target`, the one to try first at the head. Rejects with `target_down` if its name has no address or
 * does not resolve in time.
 */
export async function addressesOf(target: TcpTarget, options: AddressOptions): Promise<readonly string[]> {
  const { host } = target;
  if (isIP(host)) return [host];
  const last = lastGood.get(target);
  const all = isThisMachine(host) ? THIS_MACHINE : await resolve(host, last, options);
  if (last === undefined || last === all[0] || !all.includes(last)) return all;
  return [last, ...all.filter((address) => address !== last)];
}

async function resolve(
  host: string,
  last: string | undefined,
  { ms, prefer, signal, resolver = systemResolver }: AddressOptions,
): Promise<readonly string[]> {
  try {
    const isEnough = (addresses: readonly string[]): boolean =>
      last !== undefined && addresses.includes(last);
    const found = addressesByFamily(host, isEnough, resolver);
    const { 4: ipv4, 6: ipv6 } = await within(found, ms, `a lookup of ${host}`, signal);
    const isIpv4First = prefer === 'ipv4' || resolver.first(host) === 4;
    return isIpv4First ? alternating(ipv4, ipv6) : alternating(ipv6, ipv4);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new PortalError('target_down', `${host} cannot be resolved: ${failureReason(error)}`, {
      cause: error,
    });
  }
}

/** Alternates both families (RFC 8305, section 4), so that a broken family costs only one attempt. */
function alternating(first: readonly string[], second: readonly string[]): readonly string[] {
  const turns = first.flatMap((each, i) => (i < second.length ? [each, second[i]!] : [each]));
  return [...new Set([...turns, ...second])];
}

/** A failed attempt at one address. `code` is the system's, or `silent`. */
export interface Attempt {
  readonly address: string;
  readonly code: string;
}

/** The system's codes for an address of a family that the machine does not have. */
const NO_SUCH_FAMILY: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'ENETUNREACH']);

export interface UnreachableTexts {
  /** What should listen on a port of this machine. */
  readonly nothing: string;
  /** The result of another address. */
  readonly refused: string;
}

/** Returns `target_down` with a reason that `status` can show. */
export function unreachable(
  target: Target,
  attempts: readonly Attempt[],
  words: UnreachableTexts,
  cause?: Error,
): PortalError {
  return new PortalError('target_down', describe(target, attempts, words), { cause });
}

function describe(target: Target, attempts: readonly Attempt[], words: UnreachableTexts): string {
  const shown = formatTarget(target);
  if (target.kind === 'tcp' && isThisMachine(target.host)) {
    const tried = attempts.filter(({ code }) => !NO_SUCH_FAMILY.has(code));
    // In a fixed order, independent of the order of the attempts.
    const addresses = THIS_MACHINE.filter((each) => tried.some(({ address }) => address === each));
    if (tried.length > 0 && tried.every(({ code }) => code === 'ECONNREFUSED'))
      return `${words.nothing} on port ${target.port} (tried ${addresses.join(' and ')})`;
  }
  const isRefused = attempts.every(({ code }) => code === 'ECONNREFUSED');
  const verb = isRefused ? words.refused : 'is unreachable';
  if (attempts.length === 1) return `${shown} ${verb} (${attempts[0]!.code})`;
  return `${shown} ${verb} (${attempts.map(({ address, code }) => `${address}: ${code}`).join(', ')})`;
}
