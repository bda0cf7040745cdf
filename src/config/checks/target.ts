import { isLoopback, parseTarget, TARGET_FORMS, type Target } from '../../net/target/target.js';
import { DEFAULT_EMBEDDED_PORT } from '../normalise.js';
import { TARGET_EXAMPLES, targetAdvice } from '../words/advice.js';
import type { Report } from './check.js';
import { shown } from '../words/explain.js';
import { maskUrl } from '../variables/mask-urls.js';
import { child, textOf, treeAt, type Path, type Tree } from '../text/tree.js';

/** Checks a target, wherever it appears. `ownPort` is the embedded relay's port. */
export function checkTarget(root: Tree, path: Path, ownPort: number | undefined, report: Report): void {
  const tree = treeAt(root, path);
  const text = textOf(tree);
  if (tree?.kind !== 'scalar' || text === undefined) return;
  let target: Target;
  try {
    target = parseTarget(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // The parser's message quotes the value. Do not show it if the value is a secret or came from a variable.
    const mayQuote = !tree.interpolated && !tree.secret && maskUrl(text) === text;
    const message =
      mayQuote || !/["\d]/.test(error.message)
        ? error.message
        : `${shown(root, path)} is not ${TARGET_FORMS}`;
    const hint = (mayQuote && targetAdvice(text)) || TARGET_EXAMPLES;
    report(path, { message, hint });
    return;
  }
  if (target.kind === 'tcp' && target.port === ownPort && isLoopback(target.host)) {
    report(path, {
      message: 'this is the port of the embedded relay, so visitors would loop',
      hint: 'Use the port of your program, or move the relay with `relays: { embedded: { port: 0 } }`.',
    });
  }
}

/** The embedded relay's port, if it runs and its port is fixed. */
export function embeddedPort(root: Tree): number | undefined {
  const relays = child(root, 'relays');
  const embedded = child(relays, 'embedded');
  if (!embedded && child(relays, 'urls')) return undefined;
  const port = Number(textOf(child(embedded, 'port')) ?? DEFAULT_EMBEDDED_PORT);
  return port > 0 ? port : undefined;
}
