import { basename, dirname } from 'node:path';
import { shellQuote } from '../../lib/shell-quote.js';
import type { Finding } from '../text/finding.js';
import { FILE_NAMES, type Found } from '../files/find.js';
import { finding } from '../text/finding.js';
import { child, entriesOf, keyPlaceOf, textOf, type Tree } from '../text/tree.js';

/** A program whose configuration `portal init --from` converts. */
export type ForeignProgram = 'ngrok' | 'cloudflared' | 'compose' | 'frp';

export const FOREIGN_NAMES: Readonly<Record<ForeignProgram, string>> = {
  ngrok: 'ngrok',
  cloudflared: 'cloudflared',
  compose: 'Docker Compose',
  frp: 'frp',
};

/** Usual names of such files. A `compose.yaml` may exist already. */
const FILES: Readonly<Record<ForeignProgram, string>> = {
  ngrok: 'ngrok.yml',
  cloudflared: 'cloudflared.yml',
  compose: 'docker.yaml',
  frp: 'frpc.yaml',
};

/** Keys that identify a service of Docker Compose. */
const COMPOSE_KEYS = ['image', 'build'];

/** The program that a configuration was written for, by its keys; undefined for one of Portal, even with mistakes. */
export function foreignProgram(root: Tree): { program: ForeignProgram; key: string } | undefined {
  if (root.kind === 'scalar' && /^(?:serverAddr\s*=|\[common\]|\[\[proxies)/m.test(textOf(root) ?? ''))
    return { program: 'frp', key: '' };
  const has = (...keys: string[]): string | undefined => keys.find((key) => child(root, key));
  const tunnels = child(root, 'tunnels');
  const ngrok = has('endpoints', 'authtoken') ?? (isNgrokTunnels(tunnels) ? 'tunnels' : undefined);
  if (ngrok && !child(root, 'services')) return { program: 'ngrok', key: ngrok };
  const cloudflared = has('ingress') ?? (child(root, 'tunnel') && has('url', 'credentials-file'));
  if (cloudflared) return { program: 'cloudflared', key: cloudflared };
  const frp = has('serverAddr', 'proxies');
  if (frp && !child(root, 'services')) return { program: 'frp', key: frp };
  for (const [, { value }] of entriesOf(child(root, 'services'))) {
    if (!child(value, 'target') && COMPOSE_KEYS.some((key) => child(value, key)))
      return { program: 'compose', key: 'services' };
  }
  return undefined;
}

/** One problem for the whole file, instead of one for each unknown key. */
export function foreignFinding(root: Tree, found: Found): Finding | undefined {
  const foreign = foreignProgram(root);
  if (!foreign) return undefined;
  const { program, key } = foreign;
  return finding(root, key === '' ? [] : [key], {
    message: `this is a configuration of ${FOREIGN_NAMES[program]}, not of Portal`,
    hint: conversionHint(found, program, root.kind === 'scalar'),
    place: keyPlaceOf(root, key),
  });
}

/**
 * How to convert the file. `portal init` writes portal.yaml, so a file of this name is renamed first.
 * @param isToml `portal init` recognises TOML by the name of the file
 */
export function conversionHint(found: Found, program: ForeignProgram, isToml: boolean): string {
  const name = isToml ? 'frpc.toml' : FILES[program];
  const convert = 'convert it to a portal.yaml: ';
  if (found.kind === 'stdin') return `Write it to ${name}, then ${convert}portal init --from ${name}`;
  const file = basename(found.shown);
  if (!FILE_NAMES.some((each) => each === file))
    return `Convert it to a portal.yaml: portal init --from ${shellQuote(found.shown)}`;
  const folder = dirname(found.shown);
  const there = folder === '.' ? '' : `cd ${shellQuote(folder)} && `;
  return `Rename it, then ${convert}${there}mv ${file} ${name} && portal init --from ${name}`;
}

function isNgrokTunnels(tunnels: Tree | undefined): boolean {
  return [...entriesOf(tunnels)].some(
    ([, { value }]) => child(value, 'addr') || textOf(child(value, 'proto')),
  );
}
