import { isIP, isIPv4 } from 'node:net';
import { context, der, sequence } from './der.js';

/**
 * Names that no public registry assigns: RFC 6761 (localhost, test), RFC 6762 (local), RFC 8375 (home.arpa), and
 * `internal`, which ICANN reserved in 2024.
 */
export const LOCAL_DOMAINS = ['localhost', 'test', 'internal', 'local', 'home.arpa'] as const;

/** Whether the local CA may certify the name: DNS names under `LOCAL_DOMAINS`, 127.0.0.0/8 and ::1. */
export function covers(hostname: string): boolean {
  if (isIP(hostname)) return hostname === '::1' || (isIPv4(hostname) && hostname.startsWith('127.'));
  const name = hostname.toLowerCase();
  return LOCAL_DOMAINS.some((domain) => name === domain || name.endsWith(`.${domain}`));
}

/**
 * The same names as `covers`, as the DER of name constraints, so that every verifier enforces them.
 *
 * NameConstraints ::= SEQUENCE { permittedSubtrees [0] SEQUENCE OF GeneralSubtree }, GeneralSubtree ::= SEQUENCE {
 * base GeneralName }. DNS names are [2] IA5String; addresses are [7] OCTET STRING, address and mask.
 */
export function nameConstraints(): Buffer {
  const loopback4 = Buffer.from([127, 0, 0, 0, 255, 0, 0, 0]);
  const loopback6 = Buffer.concat([Buffer.alloc(15), Buffer.from([1]), Buffer.alloc(16, 0xff)]);
  const permitted = [
    ...LOCAL_DOMAINS.map((domain) => der(context(2, false), Buffer.from(domain, 'ascii'))),
    der(context(7, false), loopback4),
    der(context(7, false), loopback6),
  ];
  return sequence(der(context(0, true), ...permitted.map((base) => sequence(base))));
}
