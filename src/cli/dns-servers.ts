import { isIP } from 'node:net';
import { PortalError } from '../lib/errors.js';

/** Checks DNS servers of `--dns`: `address` or `address:port`, as Node's resolver accepts them. Throws `usage`. */
export function dnsServers(texts: readonly string[]): readonly string[] {
  for (const text of texts) check(text);
  return texts;
}

function check(text: string): void {
  const [, six, four, port] = /^(?:\[(.+)\]|([\d.]+)):(\d{1,5})$/.exec(text) ?? [];
  const number = Number(port);
  if (isIP(text) !== 0) return;
  if (isIP(six ?? four ?? '') !== 0 && number >= 1 && number <= 65_535) return;
  throw new PortalError('usage', `--dns: ${text} is not the address of a DNS server`, {
    hint: 'Use an IP address, for example 127.0.0.1, 127.0.0.1:5353 or [::1]:53.',
  });
}
