import { rangeProblem } from '../net/cidr.js';
import type { Report } from './check.js';
import { shown } from './explain.js';
import { child, itemsOf, textOf, treeAt, type Path, type Tree } from './tree.js';

/** Checks the gates of one service. */
export function checkAccess(root: Tree, path: Path, report: Report): void {
  checkWebhook([...path, 'webhook'], child(treeAt(root, path), 'webhook'), report);
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
