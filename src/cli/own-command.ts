import { packageFile } from '../lib/package-file.js';

interface Sea {
  isSea(): boolean;
  getAsset(name: string, encoding: 'utf8'): string;
}

/** Access to the standalone executable (scripts/executable.mjs); undefined if Node runs Portal. */
export function executable(): Sea | undefined {
  const sea = process.getBuiltinModule('node:sea') as Sea | undefined;
  return sea?.isSea() ? sea : undefined;
}

/** The command that starts Portal again: Node and the script, or the standalone executable. */
export function ownCommand(): [string, ...string[]] {
  return executable() ? [process.execPath] : [process.execPath, packageFile('bin/portal.js')];
}
