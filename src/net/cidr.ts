import { BlockList, isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Sets of IP addresses, written as single ones and as ranges (CIDR, RFC 4632 and RFC 4291 §2.3). */

type Range = readonly [address: ipaddr.IPv4 | ipaddr.IPv6, prefixBits: number];

/** What is wrong with `text` as an address or a range, as the end of a sentence; undefined if nothing is. */
export function rangeProblem(text: string): string | undefined {
  const [address = '', prefix, ...rest] = text.split('/');
  // Stricter than the library, which takes octal and other spellings that readers take for something else.
  const family = isIP(address);
  if (family === 0 || address.includes('%') || rest.length > 0) return 'is not an IP address or range';
  if (prefix === undefined) return undefined;
  if (!/^(0|[1-9]\d{0,2})$/.test(prefix) || Number(prefix) > (family === 4 ? 32 : 128))
    return 'is not an IP address or range';
  const network = beginningOf(text, family);
  return network === ipaddr.parse(address).toString()
    ? undefined
    : `has an address in it, not the beginning of its range; ${network}/${prefix} is the range around it`;
}

function beginningOf(text: string, family: number): string {
  return (family === 4 ? ipaddr.IPv4 : ipaddr.IPv6).networkAddressFromCIDR(text).toString();
}

/** An IPv4 address in IPv6's clothes counts as the one that it is, in ranges and in addresses alike (RFC 4291 §2.5.5.2). */
function readRange(text: string): Range {
  const [address, prefixBits] = text.includes('/')
    ? ipaddr.parseCIDR(text)
    : ([ipaddr.parse(text), undefined] as const);
  const whole = address.kind() === 'ipv4' ? 32 : 128;
  const bits = prefixBits ?? whole;
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && bits >= 96)
    return [address.toIPv4Address(), bits - 96];
  return [address, bits];
}

/**
 * What a limit per address counts: an IPv4 address, or the /64 of an IPv6 one. A /64 is the smallest network that is
 * handed out (RFC 6177, RFC 4862): one machine has 2^64 addresses there, and takes a new one whenever it likes. What is
 * no address counts as it is.
 */
export function networkOf(address: string): string {
  // An IPv4 address has one spelling that node takes for one.
  if (isIP(address) !== 6) return address;
  const plain = ipaddr.process(address.split('%', 1)[0]!);
  if (plain.kind() === 'ipv4') return plain.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${plain.toString()}/64`).toString()}/64`;
}

/**
 * The larger networks around one of `networkOf`, smallest first: the /24 and /16 of an IPv4 address, the /48 and /32 of an
 * IPv6 /64. Somebody who has many addresses often has them side by side: a /48 of IPv6 costs nothing.
 */
export function networksAround(network: string): readonly [smaller: string, larger: string] {
  if (network.endsWith('::/64')) {
    // A /64 ends in four zero groups at least, so "::" stands at its end and at most for some of the first four.
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
  readonly #ranges: readonly Range[];
  /** One a family: in a list of both, an IPv4 address is found in ranges of IPv6. */
  readonly #lists = { ipv4: new BlockList(), ipv6: new BlockList() };

  /** @param ranges what `rangeProblem` has nothing against */
  constructor(ranges: readonly string[]) {
    this.#ranges = ranges.map(readRange);
    for (const [address, bits] of this.#ranges)
      this.#lists[address.kind()].addSubnet(address.toString(), bits, address.kind());
  }

  /** Whether `address` is in it; what is no address never is. */
  has(address: string): boolean {
    if (this.#ranges.length === 0 || isIP(address) === 0) return false;
    const plain = ipaddr.process(address.split('%', 1)[0]!);
    return this.#lists[plain.kind()].check(plain.toString(), plain.kind());
  }

  /** Which of its ranges holds `address`, as text; undefined: none does. */
  rangeOf(address: string): string | undefined {
    if (!this.has(address)) return undefined;
    const plain = ipaddr.process(address.split('%', 1)[0]!);
    const range = this.#ranges.find(
      ([within, bits]) => within.kind() === plain.kind() && plain.match(within, bits),
    );
    if (!range) return undefined;
    const [within, bits] = range;
    const whole = within.kind() === 'ipv4' ? 32 : 128;
    return bits === whole ? within.toString() : `${within.toString()}/${bits}`;
  }

  /** Whether one of its ranges holds all of each range of `other`. */
  covers(other: AddressSet): boolean {
    return other.#ranges.every(([address, bits]) =>
      this.#ranges.some(
        ([within, outer]) =>
          within.kind() === address.kind() && outer <= bits && address.match(within, outer),
      ),
    );
  }
}
