import { existsSync } from 'node:fs';
import { access, constants, readFile, stat } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Desired } from '../../config/desired.js';
import { loadIdentity } from '../../identity/file.js';
import { sameAddress } from '../../config/lock-file.js';
import { ERRORS, systemCode } from '../../lib/errors.js';
import { homeFolder, type Paths } from '../../lib/paths.js';
import { systemTrust } from '../trust/commands.js';
import { Subject } from './report.js';

/** What this machine itself has to bring: keys, folders, trust. */

const run = promisify(execFile);
const VERIFY_MS = 5_000;

/** The identity, its address where it is there, and whether it is the one that services ask for. */
export async function checkIdentity(
  file: string,
  services: Desired['services'],
): Promise<{ subject: Subject; address: string | undefined }> {
  const subject = new Subject('identity');
  const wanted = (address: string | undefined): void => {
    for (const { service, identity } of services) {
      if (identity === undefined || (address !== undefined && sameAddress(identity, address))) continue;
      subject.problem(
        'identity.owner',
        `service ${service} belongs to ${identity}`,
        ERRORS.identity_mismatch.remedy,
      );
    }
  };
  const isThere = await stat(file).then(
    () => true,
    (error: unknown) => systemCode(error) !== 'ENOENT',
  );
  if (!isThere) {
    subject.ok('identity.file', `none yet; it is made on first use: ${file}`);
    wanted(undefined);
    return { subject, address: undefined };
  }
  try {
    const { address } = await loadIdentity(file, { create: false });
    subject.ok('identity.file', `${address}, in ${file}`);
    wanted(address);
    return { subject, address };
  } catch (error) {
    subject.failed('identity.file', error);
    return { subject, address: undefined };
  }
}

/** Folders that have to take files. */
export async function checkFolders(paths: Paths, identityFile: string, desired: Desired): Promise<Subject> {
  const subject = new Subject('folders');
  const sources = new Set(desired.services.map(({ tls }) => tls.source));
  const folders = new Set([
    dirname(identityFile),
    paths.runDir,
    ...(sources.has('local') ? [paths.caDir] : []),
    ...(sources.has('acme') ? [paths.acmeDir] : []),
  ]);
  for (const folder of folders) {
    const refused = await whyNotWritable(folder);
    if (refused === undefined) subject.ok('folders.writable', folder);
    else
      subject.problem(
        'folders.writable',
        `${folder} takes no files: ${refused}`,
        'Change its permissions or its owner, or set PORTAL_HOME to another folder.',
      );
  }
  return subject;
}

/** The nearest folder on the way that is there decides. */
async function whyNotWritable(folder: string): Promise<string | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      if (!(await stat(at)).isDirectory()) return `${at} is no folder`;
      await access(at, constants.W_OK | constants.X_OK);
      return undefined;
    } catch (error) {
      const code = systemCode(error) ?? 'unknown reason';
      if (code !== 'ENOENT' || dirname(at) === at) return `${at} (${code})`;
    }
  }
}

/** Whether programs of this machine trust what the local CA vouches for. */
export async function checkLocalCa(paths: Paths, env: NodeJS.ProcessEnv): Promise<Subject> {
  const subject = new Subject('local CA');
  const file = join(paths.caDir, 'ca.pem');
  const pem = await readFile(file, 'utf8').catch(() => undefined);
  if (pem === undefined) {
    subject.warning(
      'localCa.trusted',
      'there is none yet, so nobody trusts it',
      'It is made on first use; then run `portal trust --install`.',
    );
    return subject;
  }
  let thumbprint: string;
  try {
    thumbprint = new X509Certificate(pem).fingerprint.replaceAll(':', '');
  } catch {
    subject.problem('localCa.file', `${file} is no certificate`, 'Move it away; a new one is made.');
    return subject;
  }
  const how = systemTrust(
    { platform: process.platform, home: homeFolder(env), isRoot: false, exists: existsSync },
    { file, thumbprint },
  );
  if (how.kind === 'unknown') {
    subject.warning(
      'localCa.trusted',
      'this system keeps no list of CAs that Portal knows',
      `Import ${file} by hand.`,
    );
    return subject;
  }
  const isTrusted =
    how.kind === 'file'
      ? (await readFile(how.file, 'utf8').catch(() => '')).trim() === pem.trim()
      : await run(how.command[0], how.command.slice(1), { timeout: VERIFY_MS }).then(
          () => true,
          () => false,
        );
  if (isTrusted) subject.ok('localCa.trusted', `this system trusts ${file}`);
  else
    subject.warning(
      'localCa.trusted',
      `this system does not trust ${file}: browsers will warn`,
      'Run `portal trust --install`. Elsewhere, visitors have to trust it as well.',
    );
  return subject;
}
