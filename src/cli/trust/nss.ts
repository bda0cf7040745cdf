import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makePrivateFolder } from '../../lib/private-file.js';
import { distributions, isFolder, type Machine } from './machine.js';
import type { CommandLine, ProgramResult } from '../programs.js';
import { holds, type StoreState, type Obstacle, type TrustedCertificate, type TrustStore } from './store.js';

/** NSS databases (cert9.db) of Chromium and Firefox on Linux, changed with NSS's `certutil`. */

/** Trust only for issuing certificates of TLS servers. */
const TRUST_FLAGS = 'C,,';

/** An empty password, so that `certutil` fails on a database with a primary password instead of prompting. */
const NO_PASSWORD = ['-f', '/dev/null'] as const;

export interface NssPlace {
  readonly kind: 'chromium' | 'firefox';
  readonly name: string;
  readonly path: string;
}

export function nssStore(machine: Machine, place: NssPlace, certificate: TrustedCertificate): TrustStore {
  const database = `sql:${place.path}`;
  const exists = existsSync(join(place.path, 'cert9.db'));
  const { name, file } = certificate;
  const certutil = (...args: string[]): CommandLine => ['certutil', '-d', database, ...args];
  const run = async (...args: string[]): Promise<void> => {
    const ran = await machine.run(certutil(...args));
    if (!ran.ok) throw new Error(describe(ran, place.path));
  };
  const inspect = async (): Promise<Entries> => {
    if (!existsSync(join(place.path, 'cert9.db'))) return NOTHING;
    return entries(machine, certutil, certificate);
  };
  const remove = async (nicknames: readonly string[]): Promise<void> => {
    for (const nickname of nicknames) await run('-D', '-n', nickname, ...NO_PASSWORD);
  };
  const create: CommandLine[] = [
    ['mkdir', '-p', '-m', '700', place.path],
    certutil('-N', '--empty-password'),
  ];
  const obstacle = obstacleOf(machine, place.path, exists);
  return {
    ...place,
    exists,
    commands: {
      install: [...(exists ? [] : create), certutil('-A', '-t', TRUST_FLAGS, '-n', name, '-i', file)],
      uninstall: exists ? [certutil('-D', '-n', name)] : [],
    },
    ...(obstacle && { obstacle }),
    inspect,
    install: async () => {
      if (!exists) {
        await makePrivateFolder(place.path);
        await run('-N', '--empty-password');
      }
      try {
        await run('-A', '-t', TRUST_FLAGS, '-n', name, '-i', file, ...NO_PASSWORD);
      } catch (error) {
        // With a primary password, certutil adds the certificate but fails to trust it.
        const half = await inspect();
        if (half.trusted === false) await remove(half.nicknames).catch(() => undefined);
        throw error;
      }
    },
    uninstall: async () => remove((await inspect()).nicknames),
  };
}

interface Entries extends StoreState {
  /** Its names in the database. */
  readonly nicknames: readonly string[];
}

const NOTHING: Entries = { trusted: false, present: false, nicknames: [] };

/** Matches a prefix, because browsers append to the name on import: `Portal local CA 1a2b3c4d - Portal`. */
async function entries(
  machine: Machine,
  certutil: (...args: string[]) => CommandLine,
  { name, pem }: TrustedCertificate,
): Promise<Entries> {
  if (!machine.which('certutil'))
    return { ...NOTHING, trusted: undefined, problem: 'certutil, which reads it, is not installed' };
  const listed = await machine.run(certutil('-L'));
  if (!listed.ok) return { ...NOTHING, trusted: undefined, problem: listed.why };
  const rows = [...listed.stdout.matchAll(/^(.+?) +([A-Za-z]*),[A-Za-z]*,[A-Za-z]* *$/gm)]
    .map(([, nickname, flags]) => ({ nickname: nickname!, flags: flags! }))
    .filter(({ nickname }) => nickname.startsWith(name));
  let trusted = false;
  for (const { nickname, flags } of rows) {
    if (!flags.includes('C')) continue;
    // A replaced CA keeps its name and key, but has another certificate.
    const shown = await machine.run(certutil('-L', '-n', nickname, '-a'));
    trusted ||= shown.ok && holds(shown.stdout, pem);
  }
  return { trusted, present: rows.length > 0, nicknames: rows.map(({ nickname }) => nickname) };
}

function describe({ why }: ProgramResult, path: string): string {
  if (!why.includes('SEC_ERROR_BAD_PASSWORD')) return why;
  return `${path} has a primary password, which certutil asks for`;
}

function obstacleOf(machine: Machine, path: string, exists: boolean): Obstacle | undefined {
  if (!machine.which('certutil'))
    return {
      // The user may never start this browser.
      isExpected: !exists,
      message: 'certutil is not installed',
      hint: `Install it, then repeat this command: ${certutilPackage(machine)}`,
    };
  if (machine.uid !== undefined && ownerOf(path) !== machine.uid)
    return {
      isExpected: true,
      message: 'it belongs to another user',
      hint: 'Run `portal trust` as that user, without sudo.',
    };
  return undefined;
}

/** The owner of the folder, or of its nearest existing parent. */
function ownerOf(path: string): number {
  for (let at = path; ; at = dirname(at)) {
    if (isFolder(at)) return statSync(at).uid;
    if (dirname(at) === at) return 0;
  }
}

const PACKAGES: readonly (readonly [distribution: string, command: string])[] = [
  ['debian', 'sudo apt install libnss3-tools'],
  ['ubuntu', 'sudo apt install libnss3-tools'],
  ['fedora', 'sudo dnf install nss-tools'],
  ['rhel', 'sudo dnf install nss-tools'],
  ['suse', 'sudo zypper install mozilla-nss-tools'],
  ['opensuse', 'sudo zypper install mozilla-nss-tools'],
  ['arch', 'sudo pacman -S nss'],
  ['alpine', 'sudo apk add nss-tools'],
];

/** The package with NSS's certutil on this distribution. */
export function certutilPackage(machine: Machine): string {
  if (machine.platform === 'darwin') return 'brew install nss';
  for (const id of distributions(machine)) {
    const found = PACKAGES.find(([distribution]) => distribution === id);
    if (found) return machine.uid === 0 ? found[1].replace(/^sudo /, '') : found[1];
  }
  return 'the package is libnss3-tools, nss-tools, mozilla-nss-tools or nss';
}
