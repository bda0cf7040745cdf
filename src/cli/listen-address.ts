import { PortalError } from '../lib/errors.js';
import { rangeProblem } from '../net/cidr.js';

export interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** Parses `host:port`, `[v6]:port`, `:port` (all addresses; the host is empty) or a bare port (127.0.0.1). Throws `usage`. */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]:|(?<host>[^\s:[\]]*):)?(?<port>\d{1,5})$/.exec(text);
  const { v6, host, port: portText } = match?.groups ?? {};
  const port = Number(portText);
  if (!match || port > 65_535) {
    throw new PortalError('usage', `"${text}" is not an address to listen on`, {
      hint: 'Use host:port, for example 127.0.0.1:8443, or :443 for every address.',
    });
  }
  if (v6 !== undefined) return { host: v6, port };
  if (host === undefined) return { host: '127.0.0.1', port };
  return { host, port };
}

/** Parses addresses that share one port. Each text may have several, separated by commas. Throws `usage`. */
export function parseListenAddresses(texts: readonly string[]): { hosts: readonly string[]; port: number } {
  const all = texts.flatMap((text) => text.split(',')).map((text) => parseListenAddress(text.trim()));
  const ports = new Set(all.map(({ port }) => port));
  const [port] = ports;
  if (port === undefined || ports.size > 1) {
    throw new PortalError('usage', `--listen has several ports: ${[...ports].join(', ')}`, {
      hint: 'Use the same port for all addresses, for example --listen 192.0.2.7:443 --listen "[2001:db8::7]:443".',
    });
  }
  return { hosts: all.map(({ host }) => host), port };
}

/** Parses the addresses and ranges of proxies. Each text may have several, separated by commas. Throws `usage`. */
export function proxiesOf(texts: readonly string[] = []): string[] {
  const ranges = texts.flatMap((text) => text.split(',')).map((text) => text.trim());
  for (const range of ranges) {
    const problem = rangeProblem(range);
    if (problem !== undefined)
      throw new PortalError('usage', `--accept-proxy-protocol: "${range}" ${problem}`, {
        hint: 'Use the addresses of your load balancers, for example 10.0.0.5 or 10.0.0.0/24.',
      });
  }
  return ranges;
}
