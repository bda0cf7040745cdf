import { copyFile, chmod, readFile, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isFolder, type Machine } from './machine.js';
import type { CommandLine } from '../programs.js';
import { holds, type Obstacle, type TrustedCertificate, type TrustStore } from './store.js';

interface LinuxStore {
  /** The folder for a machine's own certificates. */
  readonly folder: string;
  /** The generated file that programs read. These commands update it. */
  readonly bundle: string;
  readonly refresh: CommandLine;
  /** The refresh after a removal. Debian keeps stale links otherwise. */
  readonly refreshRemoved?: CommandLine;
}

const LINUX: readonly LinuxStore[] = [
  {
    // Debian, Ubuntu, Alpine
    folder: 'usr/local/share/ca-certificates',
    bundle: 'etc/ssl/certs/ca-certificates.crt',
    refresh: ['update-ca-certificates'],
    refreshRemoved: ['update-ca-certificates', '--fresh'],
  },
  {
    // Fedora, RHEL
    folder: 'etc/pki/ca-trust/source/anchors',
    bundle: 'etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
    refresh: ['update-ca-trust'],
  },
  {
    // Arch
    folder: 'etc/ca-certificates/trust-source/anchors',
    bundle: 'etc/ca-certificates/extracted/tls-ca-bundle.pem',
    refresh: ['update-ca-trust'],
  },
  {
    // openSUSE
    folder: 'etc/pki/trust/anchors',
    bundle: 'var/lib/ca-certificates/ca-bundle.pem',
    refresh: ['update-ca-certificates'],
  },
];

/** The operating system's store. Undefined if Portal does not support it. */
export function systemStore(machine: Machine, certificate: TrustedCertificate): TrustStore | undefined {
  if (machine.platform === 'darwin') return keychain(machine, certificate);
  if (machine.platform === 'win32') return windowsStore(machine, certificate);
  const store = LINUX.find(({ folder }) => isFolder(join(machine.root, folder)));
  return store && linuxStore(machine, store, certificate);
}

function linuxStore(machine: Machine, store: LinuxStore, certificate: TrustedCertificate): TrustStore {
  const { refresh, refreshRemoved = refresh } = store;
  const folder = join(machine.root, store.folder);
  // The name contains the key, since another user or PORTAL_HOME has another CA.
  const anchor = join(folder, `${certificate.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.crt`);
  const asRoot = (command: CommandLine): CommandLine => (machine.uid === 0 ? command : ['sudo', ...command]);
  const install = [asRoot(['install', '-m', '644', certificate.file, anchor]), asRoot(refresh)];
  const uninstall = [asRoot(['rm', '-f', anchor]), asRoot(refreshRemoved)];
  const run = (command: CommandLine): Promise<void> => runOrThrow(machine, command);
  const obstacle = machine.uid === 0 ? undefined : NEEDS_ROOT;
  return {
    kind: 'system',
    name: 'system',
    path: folder,
    exists: true,
    commands: { install, uninstall },
    ...(obstacle && { obstacle }),
    inspect: async () => {
      const bundle = await readFile(join(machine.root, store.bundle), 'utf8').catch(() => '');
      return { trusted: holds(bundle, certificate.pem), present: existsSync(anchor) };
    },
    install: async () => {
      await copyFile(certificate.file, anchor);
      await chmod(anchor, 0o644);
      await run(refresh);
    },
    uninstall: async () => {
      await rm(anchor, { force: true });
      await run(refreshRemoved);
    },
  };
}

const NEEDS_ROOT: Obstacle = {
  isExpected: true,
  message: 'it needs root',
  hint: 'Run the commands below, or ask an administrator to run them.',
};

/** Untested: the project has no Mac. */
function keychain(machine: Machine, { file, thumbprint }: TrustedCertificate): TrustStore {
  const path = join(machine.home, 'Library/Keychains/login.keychain-db');
  return byCommands(machine, {
    name: 'login keychain',
    path,
    verify: ['security', 'verify-cert', '-c', file],
    install: [['security', 'add-trusted-cert', '-r', 'trustRoot', '-k', path, file]],
    uninstall: [
      ['security', 'remove-trusted-cert', file],
      ['security', 'delete-certificate', '-Z', thumbprint, path],
    ],
  });
}

/** Untested: the project has no Windows machine. Its `certutil` differs from that of NSS. */
function windowsStore(machine: Machine, { file, thumbprint }: TrustedCertificate): TrustStore {
  return byCommands(machine, {
    name: 'Windows, this user',
    path: 'Root',
    verify: ['certutil', '-user', '-verifystore', 'Root', thumbprint],
    install: [['certutil', '-user', '-addstore', 'Root', file]],
    uninstall: [['certutil', '-user', '-delstore', 'Root', thumbprint]],
  });
}

interface Commands {
  readonly name: string;
  readonly path: string;
  /** Succeeds if the store trusts the certificate. */
  readonly verify: CommandLine;
  readonly install: readonly CommandLine[];
  readonly uninstall: readonly CommandLine[];
}

function byCommands(machine: Machine, { verify, name, path, ...commands }: Commands): TrustStore {
  const all = async (lines: readonly CommandLine[]): Promise<void> => {
    for (const line of lines) await runOrThrow(machine, line);
  };
  return {
    kind: 'system',
    name,
    path,
    exists: true,
    commands,
    inspect: async () => {
      const { ok } = await machine.run(verify);
      return { trusted: ok, present: ok };
    },
    install: () => all(commands.install),
    uninstall: () => all(commands.uninstall),
  };
}

async function runOrThrow(machine: Machine, command: CommandLine): Promise<void> {
  const ran = await machine.run(command);
  if (!ran.ok) throw new Error(`"${command.join(' ')}" failed: ${ran.why}`);
}
