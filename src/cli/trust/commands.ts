import { posix } from 'node:path';

/** A program and its arguments. */
export type CommandLine = readonly [program: string, ...args: string[]];

export interface TrustCommands {
  readonly install: readonly CommandLine[];
  readonly uninstall: readonly CommandLine[];
  /** What no command can do. */
  readonly notes: readonly string[];
}

/** What decides which commands this machine takes. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  readonly isRoot: boolean;
  readonly exists: (path: string) => boolean;
}

export interface TrustedCertificate {
  readonly file: string;
  /** SHA-1 of the certificate in hex: the name that the stores of macOS and Windows know it by. */
  readonly thumbprint: string;
}

/** Name of our file among a system's own. */
const ANCHOR = 'portal-local-ca.crt';
const NICKNAME = 'Portal local CA';

/** Folders for a machine's own certificates, and what has to run after a change. */
const LINUX_STORES: readonly { folder: string; refresh: CommandLine }[] = [
  { folder: '/usr/local/share/ca-certificates', refresh: ['update-ca-certificates', '--fresh'] }, // Debian, Ubuntu, Alpine
  { folder: '/etc/pki/ca-trust/source/anchors', refresh: ['update-ca-trust'] }, // Fedora, RHEL
  { folder: '/etc/ca-certificates/trust-source/anchors', refresh: ['update-ca-trust'] }, // Arch
  { folder: '/etc/pki/trust/anchors', refresh: ['update-ca-certificates'] }, // openSUSE
];

/** The commands that make this machine trust the certificate, and those that take it back. */
export function trustCommands(machine: Machine, certificate: TrustedCertificate): TrustCommands {
  if (machine.platform === 'darwin') return onMac(machine, certificate);
  if (machine.platform === 'win32') return onWindows(certificate);
  return onLinux(machine, certificate);
}

/** How to find out whether this machine trusts the certificate already. */
export type SystemTrust =
  /** It does if this file is the certificate. */
  | { readonly kind: 'file'; readonly file: string }
  /** It does if this succeeds. */
  | { readonly kind: 'command'; readonly command: CommandLine }
  | { readonly kind: 'unknown' };

export function systemTrust({ platform, exists }: Machine, certificate: TrustedCertificate): SystemTrust {
  const { file, thumbprint } = certificate;
  if (platform === 'darwin') return { kind: 'command', command: ['security', 'verify-cert', '-c', file] };
  if (platform === 'win32')
    return { kind: 'command', command: ['certutil', '-user', '-verifystore', 'Root', thumbprint] };
  const store = LINUX_STORES.find(({ folder }) => exists(folder));
  return store ? { kind: 'file', file: posix.join(store.folder, ANCHOR) } : { kind: 'unknown' };
}

function onMac({ home }: Machine, { file, thumbprint }: TrustedCertificate): TrustCommands {
  const keychain = posix.join(home, 'Library/Keychains/login.keychain-db');
  return {
    install: [['security', 'add-trusted-cert', '-r', 'trustRoot', '-k', keychain, file]],
    uninstall: [
      ['security', 'remove-trusted-cert', file],
      ['security', 'delete-certificate', '-Z', thumbprint, keychain],
    ],
    notes: [],
  };
}

function onWindows({ file, thumbprint }: TrustedCertificate): TrustCommands {
  return {
    install: [['certutil', '-user', '-addstore', 'Root', file]],
    uninstall: [['certutil', '-user', '-delstore', 'Root', thumbprint]],
    notes: [],
  };
}

function onLinux(machine: Machine, { file }: TrustedCertificate): TrustCommands {
  const asRoot = (command: CommandLine): CommandLine => (machine.isRoot ? command : ['sudo', ...command]);
  const install: CommandLine[] = [];
  const uninstall: CommandLine[] = [];
  const notes: string[] = [];

  const store = LINUX_STORES.find(({ folder }) => machine.exists(folder));
  if (store) {
    const anchor = posix.join(store.folder, ANCHOR);
    install.push(asRoot(['cp', file, anchor]), asRoot(store.refresh));
    uninstall.push(asRoot(['rm', '-f', anchor]), asRoot(store.refresh));
  } else {
    notes.push(`This system has no certificate store that Portal knows: import ${file} by hand.`);
  }

  // Chrome on Linux reads this database besides the system's store.
  const nss = posix.join(machine.home, '.pki/nssdb');
  if (machine.exists(nss)) {
    install.push(['certutil', '-d', `sql:${nss}`, '-A', '-t', 'C,,', '-n', NICKNAME, '-i', file]);
    uninstall.push(['certutil', '-d', `sql:${nss}`, '-D', '-n', NICKNAME]);
  }
  notes.push(`Firefox keeps its own list: Settings, "View Certificates…", Authorities, Import ${file}.`);
  return { install, uninstall, notes };
}
