import { hashProblem } from '../lib/passwords/hash.js';
import { rangeProblem } from '../net/cidr.js';
import { isAddress, isMistyped } from '../lib/eip55.js';
import type { Report } from './check.js';
import type { Complaint } from './finding.js';
import { shown } from './explain.js';
import { child, itemsOf, keyPlaceOf, textOf, treeAt, type Path, type Tree } from './tree.js';

/** Checks the gates of one service. */
export function checkAccess(root: Tree, path: Path, report: Report): void {
  checkBasic([...path, 'basic'], child(treeAt(root, path), 'basic'), report);
  checkWebhook([...path, 'webhook'], child(treeAt(root, path), 'webhook'), report);
  checkIdentities(root, path, report);
  const allowIps = child(treeAt(root, path), 'allowIps');
  for (const [index, item] of itemsOf(allowIps).entries()) {
    const text = textOf(item);
    const problem = text === undefined ? undefined : rangeProblem(text);
    if (problem === undefined) continue;
    const at = [...path, 'allowIps', index];
    report(at, {
      message: `${shown(root, at)} ${problem}`,
      hint: 'For example 85.99.254.169, 10.0.0.0/8 or "2001:db8::/32".',
    });
  }
}

function checkIdentities(root: Tree, path: Path, report: Report): void {
  const identities = child(treeAt(root, path), 'identities');
  for (const [index, item] of itemsOf(identities).entries()) {
    const at = [...path, 'identities', index];
    const text = textOf(item);
    if (text === 'team' && !child(root, 'team'))
      report(at, {
        message: 'this file has no `team`',
        hint: 'Add it at the top level: `team: ["0x…"]`. `portal identity` prints an address.',
      });
    if (text !== undefined && isAddress(text) && isMistyped(text)) report(at, mistypedAddress(root, at));
  }
  const service = path.slice(0, -1);
  if (identities && child(treeAt(root, service), 'alpn'))
    report([...service, 'alpn'], {
      message: '`alpn` cannot be used with `access.identities`',
      hint: 'Remove it: `portal connect` carries any protocol.',
    });
}

/** The capitals of an address are a checksum. If they do not match, the address was mistyped. */
export function mistypedAddress(root: Tree, path: Path): Complaint {
  return {
    message: `${shown(root, path)} is not the address of an identity: its checksum is wrong`,
    hint: 'Copy it again. `portal identity` prints it on the machine of that identity.',
  };
}

const USER = /^[\w.@+-]{1,64}$/;

function checkBasic(path: Path, basic: Tree | undefined, report: Report): void {
  if (basic?.kind !== 'map') return;
  for (const [user, { value }] of basic.entries) {
    const at = [...path, user];
    if (!USER.test(user)) {
      report(at, {
        message: `${JSON.stringify(user)} is not a user name: up to 64 letters, digits and any of . _ - @ +`,
        hint: 'Write names without variables, for example `alice: ${ALICE_HASH}`.',
        place: keyPlaceOf(basic, user),
      });
    }
    const text = textOf(value);
    const problem = text === undefined ? undefined : hashProblem(text);
    if (problem) report(at, { message: `\`${user}\` ${problem.message}`, hint: problem.hint });
  }
}

function checkWebhook(path: Path, webhook: Tree | undefined, report: Report): void {
  if (webhook?.kind !== 'map') return;
  const [provider, header, algorithm] = ['provider', 'header', 'algorithm'].map((key) => child(webhook, key));
  if (provider && (header || algorithm)) {
    report([...path, header ? 'header' : 'algorithm'], {
      message: '`provider` cannot be used with `header` and `algorithm`',
      hint: 'A provider has its own header. Remove one or the other.',
    });
  } else if (!provider && !(header && algorithm)) {
    const missing = header ? '`algorithm` is' : '`provider` is';
    report(path, {
      message: `${missing} missing: who signs the webhooks?`,
      hint: header
        ? 'Add it, for example `algorithm: sha256`.'
        : 'Add `provider: github`, slack or stripe. For another sender, add `header` and `algorithm`.',
    });
  }
}
