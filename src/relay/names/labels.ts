import { exampleName } from '../leases/other-name.js';
import { checksumAddress } from '../../identity/keys.js';
import { PortalError } from '../../lib/errors.js';

/**
 * Labels that programs or people take for the relay's own, so agents cannot use them as names:
 * - hosts that programs look up automatically
 * - hosts of a domain's infrastructure (RFC 2142 and common names)
 * - names that speak for an operator
 */
const ALWAYS: ReadonlySet<string> = new Set(
  [
    'autoconfig autodiscover broadcasthost isatap localdomain localhost mta-sts openpgpkey wpad',
    'dns ftp imap mail mx ns ns1 ns2 ns3 ns4 pop pop3 smtp webmail www',
    'abuse admin administrator hostmaster postmaster root security ssladmin webmaster',
  ].flatMap((labels) => labels.split(' ')),
);

/** Labels, each with the identities that may use it anyway. */
export type LabelList = ReadonlyMap<string, ReadonlySet<string>>;

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$/;
const IDENTITY = /^0x[0-9a-f]{40}$/i;

/**
 * Parses a list file: a label on each line, optionally followed by the identities that may use it; `#` starts a comment.
 * Throws `usage` with every invalid line.
 */
export function readLabelList(text: string): LabelList {
  const labels = new Map<string, Set<string>>();
  const problems: string[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const [label = '', ...identities] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (label === '') continue;
    const name = label.toLowerCase();
    const wrong = LABEL.test(name) ? identities.find((one) => !IDENTITY.test(one)) : label;
    if (wrong !== undefined) {
      problems.push(`line ${index + 1}: "${wrong}" is invalid`);
      continue;
    }
    const may = labels.get(name) ?? new Set<string>();
    for (const identity of identities) may.add(checksumAddress(identity));
    labels.set(name, may);
  }
  if (problems.length > 0)
    throw new PortalError('usage', problems.join('; '), {
      hint: 'Each line is a label such as status, and after it the identities (0x and 40 hex digits) that may have it.',
    });
  return labels;
}

/** Owns the labels that agents cannot use as names. */
export class ReservedLabels {
  #list: LabelList;

  /** @param list undefined: no labels, as in the relay inside an agent */
  constructor(list: LabelList = new Map()) {
    this.#list = list;
  }

  set(list: LabelList): void {
    this.#list = list;
  }

  /** Throws `name_reserved` if `identity` may not use `name`. */
  check(name: string, identity: string): void {
    const may = this.#list.get(name);
    if (!may || may.has(identity)) return;
    const why =
      may.size === 0 && isReservedByDefault(name)
        ? `this relay reserves "${name}" by default, because visitors or programs may take it for the relay's own`
        : `the operator of this relay reserves "${name}"`;
    throw new PortalError(
      'name_reserved',
      `${why}. ${exampleName(name)} The relay's operator can allow your identity with --reserved-labels.`,
    );
  }
}

/** Whether every `portal relay` reserves the name, unless its operator allows an identity to use it. */
export const isReservedByDefault = (name: string): boolean => ALWAYS.has(name);

/** The labels that every `portal relay` reserves, and those of the operator's list. */
export function withDefaultLabels(list: LabelList = new Map()): LabelList {
  return new Map([...[...ALWAYS].map((label) => [label, new Set<string>()] as const), ...list]);
}
