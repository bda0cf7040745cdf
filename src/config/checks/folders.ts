import { parseTarget } from '../../net/target/target.js';
import type { Report } from './check.js';
import { modeOfTree } from './mode.js';
import { child, entriesOf, textOf, type Tree } from '../text/tree.js';

/** Checks settings that a folder as target does not have. */
export function checkFolders(services: Tree | undefined, report: Report): void {
  for (const [key, { value }] of entriesOf(services)) {
    const path = ['services', key];
    const mode = modeOfTree(value)?.mode;
    if (isFolder(child(value, 'target'))) {
      if (mode === 'tcp' || mode === 'udp')
        report([...path, 'mode'], {
          message: `a folder cannot be served in mode ${mode}`,
          hint: 'Remove `mode`: Portal serves the files over HTTPS.',
        });
      if (child(value, 'proxyProtocol'))
        report([...path, 'proxyProtocol'], {
          message: '`proxyProtocol` cannot be used with a folder',
          hint: 'Remove it: Portal serves the files itself.',
        });
    }
    const routes = [...entriesOf(child(value, 'routes'))].map(
      ([route, entry]) => [[...path, 'routes', route], entry.value] as const,
    );
    for (const [at, options] of [[path, value] as const, ...routes])
      if (isFolder(child(options, 'target')) && child(options, 'command'))
        report([...at, 'command'], {
          message: '`command` cannot be used with a folder as target',
          hint: 'Remove `target` if the command is a server, or `command` if Portal should serve the folder.',
        });
  }
}

function isFolder(target: Tree | undefined): boolean {
  const text = textOf(target);
  if (text === undefined) return false;
  try {
    const parsed = parseTarget(text);
    return parsed.kind === 'tcp' && parsed.folder !== undefined;
  } catch {
    return false;
  }
}
