import { existsSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { packageFile } from '../../lib/package-file.js';
import { PortalError } from '../../lib/errors.js';
import { shellQuote } from '../../lib/shell-quote.js';

const PACKAGE = '@photostructure/sqlite';

/** Adds the command that installs SQLite for this installation of Portal. */
export function explainMissingSqlite(error: PortalError, cwd: string): PortalError {
  if (error.code !== 'sqlite_missing') return error;
  return new PortalError('sqlite_missing', error.message, {
    cause: error.cause,
    hint: `Run \`${installSqlite(packageFile('.'), cwd)}\`, or use Node 22.13 or later, which has SQLite.`,
  });
}

/**
 * Node finds the package only beside the package of Portal.
 *
 * @param own the folder of that package
 * @param prefix where npm installs packages globally if nobody configured another folder
 */
export function installSqlite(own: string, cwd: string, prefix = dirname(dirname(process.execPath))): string {
  const modules = dirname(own);
  const above = dirname(modules);
  const at = (folder: string): string => (folder === cwd ? '' : `--prefix ${shellQuote(folder)}`);
  if (basename(modules) !== 'node_modules') return `npm ci ${at(own)}`.trim();
  if (above.split(sep).includes('_npx'))
    return `npx --package ${basename(own)} --package ${PACKAGE} portal relay`;
  if (existsSync(join(above, 'package.json')))
    return ['npm install', at(above), PACKAGE].filter(Boolean).join(' ');
  // On Windows, npm has no folder `lib`, and the prefix is not above that of Node.
  const isElsewhere = basename(above) === 'lib' && dirname(above) !== prefix;
  return `npm install --global ${isElsewhere ? `${at(dirname(above))} ` : ''}${PACKAGE}`;
}
