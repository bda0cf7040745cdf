import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

let root: string | undefined;

/** For a program that brings its files along: from now on they are in `folder`. */
export function useFilesOf(folder: string): void {
  root = folder;
}

/** A file that the package has beside its code, whichever folder of it the code runs from: src, or one below dist. */
export function packageFile(path: string): string {
  root ??= folderOfPackage(import.meta.dirname);
  return join(root, path);
}

function folderOfPackage(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const above = dirname(folder);
  if (above === folder)
    throw new Error('no package.json above the program: its files are not where they were installed');
  return folderOfPackage(above);
}
