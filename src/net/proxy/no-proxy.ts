import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { AddressSet } from '../cidr.js';

/**
 * Whether `NO_PROXY` matches a host: by domain (including its subdomains), address or CIDR range, each with or without a
 * port, or `*` for all hosts. `host` has no brackets. Invalid entries match nothing.
 */
export function bypassesProxy(noProxy: string, host: string, port: number): boolean {
  return noProxy.split(/[\s,]+/).some((entry) => names(entry.toLowerCase(), plain(host), port));
}

/** Connections to this machine never use a proxy. */
export function isLoopback(host: string): boolean {
  const name = plain(host);
  return name === 'localhost' || name.endsWith('.localhost') || LOOPBACK.has(name);
}

const LOOPBACK = new AddressSet(['127.0.0.0/8', '::1']);

const plain = (host: string): string => host.toLowerCase().replace(/\.$/, '');

function names(entry: string, host: string, port: number): boolean {
  if (entry === '*') return true;
  const [, address, rest = '', ownPort] = split(entry);
  if (ownPort !== undefined && Number(ownPort) !== port) return false;
  const wanted = address ?? rest;
  if (isIP(wanted.split('/', 1)[0]!) !== 0) return holds(wanted, host);
  const domain = domainToASCII(wanted.replace(/^\*?\./, '').replace(/\.$/, ''));
  return domain !== '' && (host === domain || host.endsWith(`.${domain}`));
}

/** An IPv6 address contains colons, so its port requires brackets. */
function split(entry: string): readonly (string | undefined)[] {
  if (isIP(entry.split('/', 1)[0]!) !== 0) return [entry, entry];
  return /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(entry) ?? [];
}

function holds(range: string, host: string): boolean {
  try {
    return new AddressSet([range]).has(host);
  } catch {
    return false;
  }
}
