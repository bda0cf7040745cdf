import { BlockList, isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Sets of IP addresses: single addresses and CIDR ranges (RFC 4632, RFC 4291 §2.3). */

/**
 * The library reads the deprecated `::10.0.0.1` as the IPv4 address that it contains. It is another address (RFC 4291, section
 * 2.5.5.1).
 */
const parse = (address: string): ipaddr.IPv4 | ipaddr.IPv6 => ipaddr.parse(unambiguous(address));
const unambiguous = (text: string): string => text.replace(/^::(?=\d+\.)/, '::0:');

type Range = readonly [address: ipaddr.IPv4 | ipaddr.IPv6, prefixBits: number];

/** Explains why `text` is not a valid address or range, as the end of a sentence. Undefined if it is valid. */
export function rangeProblem(text: string): string | undefined {
  const [address = '', prefix, ...rest] = text.split('/');
  // Stricter than the library, which accepts octal and other ambiguous notations.
  const family = isIP(address);
  if (family === 0 || address.includes('%') || rest.length > 0) return 'is not an IP address or range';
  if (prefix === undefined) return undefined;
  if (!/^(0|[1-9]\d{0,2})$/.test(prefix)) return 'is not an IP address or range';
  const longest = family === 4 ? 32 : 128;
  if (Number(prefix) > longest) return `is not an IP address or range: /${prefix} is beyond /${longest}`;
  const network = beginningOf(text, family);
  return network === parse(address).toString()
    ? undefined
    : `does not start at the first address of its range; write ${network}/${prefix}`;
}

function beginningOf(text: string, family: number): string {
  return (family === 4 ? ipaddr.IPv4 : ipaddr.IPv6).networkAddressFromCIDR(unambiguous(text)).toString();
}

/** An IPv4-mapped IPv6 address counts as its IPv4 address, in ranges as in addresses (RFC 4291 §2.5.5.2). */
function readRange(text: string): Range {
  const [address, prefixBits] = text.includes('/')
    ? ipaddr.parseCIDR(unambiguous(text))
    : ([parse(text), undefined] as const);
  const whole = address.kind() === 'ipv4' ? 32 : 128;
  const bits = prefixBits ?? whole;
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && bits >= 96)
    return [address.toIPv4Address(), bits - 96];
  return [address, bits];
}

/**
 * The key of a limit per address: the IPv4 address, or the /64 of an IPv6 address. A /64 is the smallest network that
 * is assigned (RFC 6177, RFC 4862), and one machine can use any of its 2^64 addresses. Returns text that is not an
 * address unchanged.
 */
export function networkOf(address: string): string {
  // Node accepts only one notation of an IPv4 address.
  if (isIP(address) !== 6) return address;
  const plain = ipaddr.process(unambiguous(address.split('%', 1)[0]!));
  if (plain.kind() === 'ipv4') return plain.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${plain.toString()}/64`).toString()}/64`;
}

/**
 * The larger networks around a result of `networkOf`: the /24 and /16 of an IPv4 address, the /48 and /32 of an IPv6 /64.
 * An attacker with many addresses often has adjacent ones: a /48 of IPv6 costs nothing.
 */
export function networksAround(network: string): readonly [smaller: string, larger: string] {
  if (network.endsWith('::/64')) {
    // A /64 ends in at least four zero groups, so "::" is at its end and covers at most some of the first four.
    const groups = network.slice(0, -'::/64'.length).split(':');
    const [a = '0', b = '0', c = '0'] = groups;
    return [`${a || '0'}:${b}:${c}::/48`, `${a || '0'}:${b}::/32`];
  }
  const last = network.lastIndexOf('.');
  const before = network.lastIndexOf('.', last - 1);
  if (before < 0) return [network, network];
  return [`${network.slice(0, last)}.0/24`, `${network.slice(0, before)}.0.0/16`];
}

export class AddressSet {
  /** As given. */
  readonly texts: readonly string[];
  readonly #ranges: readonly Range[];
  /** One list per family, because a mixed BlockList finds IPv4 addresses in IPv6 ranges. */
  readonly #lists = { ipv4: new BlockList(), ipv6: new BlockList() };

  /** @param ranges ranges that `rangeProblem` accepts */
  constructor(ranges: readonly string[]) {
    this.texts = ranges;
    this.#ranges = ranges.map(readRange);
    for (const [address, bits] of this.#ranges)
      this.#lists[address.kind()].addSubnet(address.toString(), bits, address.kind());
  }

  /** Whether `address` is in the set. False for text that is not an address. */
  has(address: string): boolean {
    if (this.#ranges.length === 0 || isIP(address) === 0) return false;
    const plain = ipaddr.process(unambiguous(address.split('%', 1)[0]!));
    return this.#lists[plain.kind()].check(plain.toString(), plain.kind());
  }

  /** The range that contains `address`, as text. Undefined if the set does not contain it. */
  rangeOf(address: string): string | undefined {
    if (!this.has(address)) return undefined;
    const plain = ipaddr.process(unambiguous(address.split('%', 1)[0]!));
    const range = this.#ranges.find(
      ([within, bits]) => within.kind() === plain.kind() && plain.match(within, bits),
    );
    if (!range) return undefined;
    const [within, bits] = range;
    const whole = within.kind() === 'ipv4' ? 32 : 128;
    return bits === whole ? within.toString() : `${within.toString()}/${bits}`;
  }

  /** Whether every range of `other` lies within one range of this set. */
  covers(other: AddressSet): boolean {
    return other.#ranges.every(([address, bits]) =>
      this.#ranges.some(
        ([within, outer]) =>
          within.kind() === address.kind() && outer <= bits && address.match(within, outer),
      ),
    );
  }
}
