import { packageFile } from '../lib/package-file.js';

interface Sea {
  isSea(): boolean;
  getAsset(name: string, encoding: 'utf8'): string;
}

/** The executable that this process is, where Node and Portal are one file (scripts/executable.mjs). */
export function executable(): Sea | undefined {
  const sea = process.getBuiltinModule('node:sea') as Sea | undefined;
  return sea?.isSea() ? sea : undefined;
}

/** What starts Portal once more: Node and its script, or the executable that is both. */
export function ownCommand(): [string, ...string[]] {
  return executable() ? [process.execPath] : [process.execPath, packageFile('bin/portal.js')];
}
