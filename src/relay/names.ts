import { PortalError } from '../lib/errors.js';

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** `name` under the relay's domain. The name is one DNS label (RFC 1035 §2.3.1, digits allowed first). */
export function hostnameFor(name: string, domain: string): string {
  if (!LABEL.test(name)) {
    throw new PortalError('name_invalid', `"${name}" is not one DNS label (a–z, 0–9 and hyphens, up to 63)`);
  }
  return `${name}.${domain}`;
}

/** An address as it should be shown and compared: IPv4-mapped IPv6 (RFC 4291 §2.5.5.2) as plain IPv4, no zone. */
export function plainAddress(address: string | undefined): string {
  if (!address) return '';
  const plain = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
  return plain.split('%')[0]!;
}

/**
 * What a limit per address counts: an IPv4 address, or the /64 of an IPv6 one. A /64 is the smallest network that is
 * handed out (RFC 6177, RFC 4862): one machine has 2^64 addresses there, and takes a new one whenever it likes.
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const [before = '', after] = address.split('::', 2);
  const groups = before === '' ? [] : before.split(':');
  // What `::` stands for is long enough to reach the fifth group, unless the rest is there to be counted.
  if (after !== undefined) {
    const rest = after === '' ? [] : after.split(':');
    const restGroups = rest.length + (after.includes('.') ? 1 : 0);
    while (groups.length + restGroups < 8) groups.push('0');
    groups.push(...rest);
  }
  const prefix = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${prefix.join(':')}::/64`;
}
