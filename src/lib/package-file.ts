import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

let root: string | undefined;

/** Sets the folder of the package's files, for an executable that contains them. */
export function useFilesOf(folder: string): void {
  root = folder;
}

/** The path of a file of the package, whether the code runs from src or from dist. */
export function packageFile(path: string): string {
  root ??= folderOfPackage(import.meta.dirname);
  return join(root, path);
}

export function packageVersion(): string {
  const text = readFileSync(packageFile('package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function folderOfPackage(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const above = dirname(folder);
  if (above === folder) throw new Error('no package.json above the program: the installation is incomplete');
  return folderOfPackage(above);
}
