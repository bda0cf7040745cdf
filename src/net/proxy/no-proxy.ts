import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { AddressSet } from '../cidr.js';

/**
 * Whether `NO_PROXY` names a host: by domain, which covers the names below it, by address, by range (CIDR), each with a
 * port or without, or all hosts by `*`. `host` has no brackets. Entries that make no sense name nobody.
 */
export function isSpared(noProxy: string, host: string, port: number): boolean {
  return noProxy.split(/[\s,]+/).some((entry) => names(entry.toLowerCase(), plain(host), port));
}

/** This machine is never reached through a proxy. */
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

/** An IPv6 address has colons of its own, so its port needs brackets. */
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
