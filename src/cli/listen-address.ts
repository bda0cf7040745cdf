import { PortalError } from '../lib/errors.js';

export interface ListenAddress {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
}

/** Reads `host:port`, `[v6]:port`, `:port` (every address) or a bare port (loopback). Throws `usage`. */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]:|(?<host>[^\s:[\]]*):)?(?<port>\d{1,5})$/.exec(text);
  const { v6, host, port: portText } = match?.groups ?? {};
  const port = Number(portText);
  if (!match || port > 65_535) {
    throw new PortalError('usage', `"${text}" is no address to listen on`, {
      hint: 'Write host:port, as in 127.0.0.1:8443 or 0.0.0.0:443.',
    });
  }
  if (v6 !== undefined) return { host: v6, port };
  if (host === undefined) return { host: '127.0.0.1', port };
  return { host: host || '::', port };
}
