import { isIP } from 'node:net';
import type { Report } from './check.js';
import { shown } from './explain.js';
import { child, itemsOf, textOf, treeAt, type Path, type Tree } from './tree.js';

/** Rules for the gates of one service. */
export function checkAccess(root: Tree, path: Path, report: Report): void {
  const allowIps = child(treeAt(root, path), 'allowIps');
  for (const [index, item] of itemsOf(allowIps).entries()) {
    const text = textOf(item);
    if (text === undefined || isAddressOrRange(text)) continue;
    const at = [...path, 'allowIps', index];
    report(at, {
      message: `${shown(root, at)} is not an IP address or range`,
      hint: 'For example 85.99.254.169, 10.0.0.0/8 or "2001:db8::/32".',
    });
  }
}

/** An IPv4 or IPv6 address, or one with a prefix length (CIDR). Zones and octal-looking parts are refused. */
export function isAddressOrRange(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || address.includes('%') || rest.length > 0) return false;
  if (prefix === undefined) return true;
  return /^(0|[1-9]\d{0,2})$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}
