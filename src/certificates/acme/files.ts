import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createFile, PRIVATE_MODE, readPrivateFile, replaceFile } from '../../lib/private-file.js';

/** Where the data of CAs is kept: small texts by name, which only their owner can read. */
export interface CertificateFiles {
  /** Undefined if no such file exists. */
  read(name: string): Promise<string | undefined>;
  /** False if it exists already. */
  create(name: string, text: string): Promise<boolean>;
  replace(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Executes `run` while no other owner of the same files does so with this name. */
  exclusively<T>(name: string, run: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

/** Files in a folder. */
export function filesIn(folder: string): CertificateFiles {
  const at = (name: string): string => join(folder, name);
  return {
    read: (name) => readPrivateFile(at(name), 'certificate_unavailable'),
    create: (name, text) => createFile(at(name), text, PRIVATE_MODE),
    replace: (name, text) => replaceFile(at(name), text, PRIVATE_MODE),
    remove: (name) => rm(at(name), { force: true }),
    // Each process of a folder orders certificates of its own services.
    exclusively: (_name, run) => run(),
  };
}
