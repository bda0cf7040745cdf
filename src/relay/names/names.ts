import { domainToASCII, domainToUnicode } from 'node:url';
import { PortalError } from '../../lib/errors.js';

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** `name` under the relay's domain. The name is one DNS label (RFC 1035 §2.3.1; a digit may come first). */
export function hostnameFor(name: string, domain: string): string {
  if (!LABEL.test(name)) {
    throw new PortalError('name_invalid', `"${name}" is not one DNS label (a–z, 0–9 and hyphens, up to 63)`);
  }
  if (name.startsWith('xn--') && !isPunycode(name)) {
    throw new PortalError('name_invalid', `"${name}" is not valid Punycode, so browsers may not show it`);
  }
  return `${name}.${domain}`;
}

/** Whether an A-label decodes and encodes to the same label again (RFC 5891, 5.4). */
function isPunycode(label: string): boolean {
  const decoded = domainToUnicode(label);
  return decoded !== '' && decoded !== label && domainToASCII(decoded) === label;
}

/** The name of `hostname` under `domain`; undefined if it has none. */
export function nameOf(hostname: string, domain: string): string | undefined {
  const name = hostname.slice(0, -domain.length - 1);
  return LABEL.test(name) && hostname === `${name}.${domain}` ? name : undefined;
}
