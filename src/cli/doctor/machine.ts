import { kindOf } from '../../agent/spec.js';
import { usesAcme } from '../../certificates/spec.js';
import { hasLocalCa } from '../../library/agent.js';
import { access, constants, readFile, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Desired } from '../../config/desired.js';
import { loadIdentity } from '../../identity/file.js';
import type { Identity } from '../../identity/identity.js';
import { sameAddress } from '../../config/files/lock-file.js';
import { ERRORS } from '../../lib/error-codes.js';
import { systemCode } from '../../lib/errors.js';
import type { Paths } from '../../lib/paths.js';
import type { Context } from '../context.js';
import { isThere } from '../identity-file.js';
import { inspectStore, type StoreReport } from '../trust/change.js';
import { thisMachine } from '../trust/machine.js';
import type { TrustedCertificate } from '../trust/store.js';
import { trustedCertificate, trustStores } from '../trust/stores.js';
import { whyUnwritable } from '../unwritable.js';
import { Subject } from './report.js';

/** Checks this machine: keys, folders, trust. */

/** Checks the identity's file, and that the identity is the one that services require. `identity` is undefined without a file. */
export async function checkIdentity(
  file: string,
  services: Desired['services'],
): Promise<{ subject: Subject; identity: Identity | undefined }> {
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
  if (!(await isThere(file))) {
    subject.ok('identity.file', `no identity yet; Portal creates it on first use: ${file}`);
    wanted(undefined);
    return { subject, identity: undefined };
  }
  try {
    const identity = await loadIdentity(file, { create: false });
    subject.ok('identity.file', `${identity.address}, in ${file}`);
    wanted(identity.address);
    return { subject, identity };
  } catch (error) {
    subject.failed('identity.file', error);
    return { subject, identity: undefined };
  }
}

/** Checks that Portal can write to its folders. */
export async function checkFolders(
  { paths, env }: Pick<Context, 'paths' | 'env'>,
  identityFile: string,
  services: Desired['services'],
): Promise<Subject> {
  const subject = new Subject('folders');
  const folders = new Set([
    dirname(identityFile),
    paths.runDir,
    ...(services.some(hasLocalCa) ? [paths.caDir] : []),
    ...(services.some(({ mode, tls }) => kindOf(mode) === 'tls' && usesAcme(tls)) ? [paths.acmeDir] : []),
  ]);
  for (const folder of folders) {
    const refused = await whyNotWritable(folder);
    if (refused === undefined) subject.ok('folders.writable', folder);
    else {
      const { message, hint } = whyUnwritable(env, folder) ?? { hint: ELSEWHERE };
      subject.problem('folders.writable', `${folder} is not writable: ${message ?? refused}`, hint);
    }
  }
  return subject;
}

const ELSEWHERE = 'Free space there if the disk is full, or set PORTAL_HOME to another folder.';

/** The nearest existing parent decides. */
async function whyNotWritable(folder: string): Promise<string | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      if (!(await stat(at)).isDirectory()) return `${at} is not a folder`;
      await access(at, constants.W_OK | constants.X_OK);
      return (await isFull(at)) ? `no space left at ${at} (ENOSPC)` : undefined;
    } catch (error) {
      const code = systemCode(error) ?? 'unknown reason';
      if (code !== 'ENOENT' || dirname(at) === at) return `${at} (${code})`;
    }
  }
}

/** Keys, certificates and locks need less. */
const MIN_FREE_BYTES = 64 * 1024;

/** False if the system does not say. */
async function isFull(folder: string): Promise<boolean> {
  const found = await statfs(folder).catch(() => undefined);
  // Some file systems report no blocks or no files at all.
  if (!found || found.blocks === 0) return false;
  return found.bavail * found.bsize < MIN_FREE_BYTES || (found.files > 0 && found.ffree === 0);
}

/** Checks that the certificate stores of this machine trust the local CA. */
export async function checkLocalCa(paths: Paths, env: NodeJS.ProcessEnv): Promise<Subject> {
  const subject = new Subject('local CA');
  const file = join(paths.caDir, 'ca.pem');
  const pem = await readFile(file, 'utf8').catch(() => undefined);
  if (pem === undefined) {
    subject.warning(
      'localCa.trusted',
      'no local CA yet, so no store trusts it',
      'Portal creates it on first use. Then run `portal trust --install`.',
    );
    return subject;
  }
  let certificate: TrustedCertificate;
  try {
    certificate = trustedCertificate(file, pem);
  } catch {
    subject.problem(
      'localCa.file',
      `${file} is not a certificate`,
      'Move it away. Portal then creates a new CA.',
    );
    return subject;
  }
  const stores = trustStores(thisMachine(env), certificate);
  if (stores.length === 0)
    subject.warning(
      'localCa.trusted',
      'Portal does not know the certificate store of this system',
      `Import ${file} by hand.`,
    );
  for (const store of stores) reportStore(subject, await inspectStore(store));
  return subject;
}

function reportStore(subject: Subject, { store, state, message, hint }: StoreReport): void {
  const where = `${store.name} (${store.path})`;
  if (state.trusted) return subject.ok('localCa.trusted', `${where} trusts it`);
  if (state.trusted === undefined)
    return subject.warning('localCa.trusted', `cannot check ${where}: ${message}`, hint);
  subject.warning(
    'localCa.trusted',
    store.exists
      ? `${where} does not trust it`
      : `${store.name} has no certificate store yet (${store.path})`,
    store.obstacle ? 'Run `portal trust` and follow its instructions.' : 'Run `portal trust --install`.',
  );
}
