import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, isAbsolute, join } from 'node:path';
import { isFolder, type Machine } from './machine.js';
import type { NssPlace } from './nss.js';

/** Where browsers on Linux have their databases, for installations by the system, snap or flatpak. */

/** Browsers that share Chromium's database. */
const CHROMIUMS = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'brave-browser',
  'microsoft-edge',
  'microsoft-edge-stable',
  'opera',
  'vivaldi',
] as const;

/** Their snaps, by folder in ~/snap. */
const CHROMIUM_SNAPS: ReadonlySet<string> = new Set(['chromium', 'brave', 'opera', 'vivaldi']);

const FIREFOXES: readonly (readonly [name: string, folder: string])[] = [
  ['Firefox', '.mozilla/firefox'],
  ['LibreWolf', '.librewolf'],
];

export function nssPlaces(machine: Machine): NssPlace[] {
  if (machine.platform === 'win32') return [];
  return [...chromiumPlaces(machine), ...firefoxPlaces(machine)];
}

function chromiumPlaces(machine: Machine): NssPlace[] {
  if (machine.platform === 'darwin') return [];
  const { home, dataHome } = machine;
  const isInstalled = CHROMIUMS.some((name) => {
    const path = machine.which(name);
    // A snap has its own home folder.
    return path !== undefined && !path.startsWith('/snap/');
  });
  return [
    ...databasesIn('Chromium, Chrome', home, dataHome, isInstalled),
    ...namesIn(join(home, 'snap')).flatMap((app) => {
      const own = join(home, 'snap', app, 'current');
      const isBrowser = CHROMIUM_SNAPS.has(app) && isFolder(own);
      return databasesIn(`snap ${app}`, own, join(own, '.local/share'), isBrowser);
    }),
    ...namesIn(join(home, '.var/app')).flatMap((app) => {
      const own = join(home, '.var/app', app);
      return databasesIn(`flatpak ${app}`, own, join(own, 'data'), false);
    }),
  ].map((place) => ({ ...place, kind: 'chromium' }));
}

/**
 * Chromium uses ~/.pki/nssdb if that folder exists, and otherwise nssdb in the XDG data folder, which older versions
 * do not support. If neither exists, Portal creates the first, because every version reads it.
 */
function databasesIn(
  name: string,
  home: string,
  dataHome: string,
  isInstalled: boolean,
): { name: string; path: string }[] {
  const legacy = join(home, '.pki/nssdb');
  const found = [legacy, join(dataHome, 'pki/nssdb')].filter(isFolder);
  if (found.length === 0 && isInstalled) found.push(legacy);
  return found.map((path) => ({ name, path }));
}

function firefoxPlaces(machine: Machine): NssPlace[] {
  const { home, configHome } = machine;
  const roots: [name: string, folder: string][] =
    machine.platform === 'darwin'
      ? [['Firefox', join(home, 'Library/Application Support/Firefox')]]
      : [
          ...FIREFOXES.map(([name, folder]): [string, string] => [name, join(home, folder)]),
          ['Firefox', join(configHome, 'mozilla/firefox')],
          ...appHomes(home).flatMap(([name, own]) => [
            ...FIREFOXES.map(([, folder]): [string, string] => [name, join(own, folder)]),
            [name, join(own, 'config/mozilla/firefox')] as [string, string],
          ]),
        ];
  const seen = new Set<string>();
  return roots.flatMap(([name, root]) =>
    profilesIn(root)
      .filter((path) => existsSync(join(path, 'cert9.db')) && !seen.has(path) && seen.add(path))
      .map((path): NssPlace => ({ kind: 'firefox', name: `${name} (${basename(path)})`, path })),
  );
}

/** The home folders that snap and flatpak give to programs. */
function appHomes(home: string): [name: string, folder: string][] {
  return [
    ...namesIn(join(home, 'snap')).flatMap((app): [string, string][] => [
      [`snap ${app}`, join(home, 'snap', app, 'common')],
    ]),
    ...namesIn(join(home, '.var/app')).map((app): [string, string] => [
      `flatpak ${app}`,
      join(home, '.var/app', app),
    ]),
  ];
}

/** The profile folders in profiles.ini, and others in the same place. */
function profilesIn(root: string): string[] {
  const named = [...text(join(root, 'profiles.ini')).matchAll(/^Path=(.+?)\s*$/gm)].map(([, path]) =>
    isAbsolute(path!) ? path! : join(root, path!),
  );
  const beside = ['', 'Profiles'].flatMap((folder) =>
    namesIn(join(root, folder)).map((name) => join(root, folder, name)),
  );
  return [...new Set([...named, ...beside])];
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch {
    return [];
  }
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
