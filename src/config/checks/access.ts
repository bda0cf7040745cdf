import { ASKING_KINDS } from '../../agent/access/kinds.js';
import { hashProblem } from '../../lib/passwords/hash.js';
import { rangeProblem } from '../../net/cidr.js';
import { isAddress, isMistyped } from '../../lib/eip55.js';
import { isLoopback } from '../../net/target/target.js';
import type { Report } from './check.js';
import type { Complaint } from '../text/finding.js';
import { shown } from '../words/explain.js';
import { child, itemsOf, keyPlaceOf, textOf, treeAt, type Path, type Tree } from '../text/tree.js';

/** Checks the gates of one service. */
export function checkAccess(root: Tree, path: Path, report: Report): void {
  checkOidc([...path, 'oidc'], treeAt(root, path), report);
  checkBasic([...path, 'basic'], child(treeAt(root, path), 'basic'), report);
  checkWebhook([...path, 'webhook'], child(treeAt(root, path), 'webhook'), report);
  checkIdentities(root, path, report);
  checkSharing([...path, 'sharing'], treeAt(root, path), report);
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

function checkSharing(path: Path, access: Tree | undefined, report: Report): void {
  const sharing = child(access, 'sharing');
  const isOn = sharing?.kind === 'scalar' && String(sharing.value) === 'true';
  if (isOn && !ASKING_KINDS.some(({ key }) => child(access, key)))
    report(path, {
      message: '`sharing` needs `pin`, `basic` or `oidc`: without one, a link opens nothing',
      hint: 'Add one of them, or remove `sharing`.',
    });
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

function checkOidc(path: Path, access: Tree | undefined, report: Report): void {
  const oidc = child(access, 'oidc');
  if (oidc?.kind !== 'map') return;
  if (child(access, 'basic'))
    report(path, {
      message: '`oidc` and `basic` cannot be used together',
      hint: 'Each names the visitor to the target. Remove one, or use two services.',
    });
  if (child(access, 'identities'))
    report(path, {
      message: '`oidc` and `identities` cannot be used together',
      hint: 'The provider returns visitors to the public address, which admits only `portal connect`. Remove one, or use two services.',
    });
  const issuer = textOf(child(oidc, 'issuer'));
  const problem = issuer === undefined || issuer === '' ? undefined : issuerProblem(issuer);
  if (problem !== undefined)
    report([...path, 'issuer'], {
      message: `\`issuer\` ${problem}`,
      hint: 'For example https://accounts.google.com.',
    });
  const allow = child(oidc, 'allow');
  for (const [key, { pattern, what, hint }] of Object.entries(ALLOWED))
    for (const [index, item] of itemsOf(child(allow, key)).entries()) {
      const text = textOf(item);
      if (text !== undefined && text !== '' && !pattern.test(text))
        report([...path, 'allow', key, index], {
          message: `entry ${index + 1} of \`${key}\` is not ${what}`,
          hint,
        });
    }
}

const ALLOWED = {
  emails: {
    pattern: /^[^@\s]+@[^@\s]+$/,
    what: 'an e-mail address',
    hint: 'For example alice@example.com. For everyone of a domain, use `domains: [example.com]`.',
  },
  domains: {
    pattern: /^[^@\s/:*]+$/,
    what: 'a domain',
    hint: 'Write only the domain, for example example.com.',
  },
} as const;

/** Plain HTTP is for providers on this machine. */
function issuerProblem(text: string): string | undefined {
  if (!URL.canParse(text)) return 'is not an https:// URL';
  const { protocol, hostname, search, hash, username, password } = new URL(text);
  const isLocal = protocol === 'http:' && isLoopback(hostname.replace(/^\[|\]$/g, ''));
  if (protocol !== 'https:' && !isLocal) return 'is not an https:// URL';
  if (username !== '' || password !== '') return 'has a user name or a password';
  if (search !== '' || hash !== '') return 'has a query or a fragment';
  return text.includes('/.well-known/') ? 'is the URL of a document: omit `/.well-known/…`' : undefined;
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
