import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

/** Where Portal keeps its files. Nothing else in the program builds such a path. */
export interface Paths {
  /** The default identity: one per person. */
  readonly identityFile: string;
  /** The local CA: `ca.pem`, `ca.key.pem`. */
  readonly caDir: string;
  /** ACME accounts and the certificates that came of them. */
  readonly acmeDir: string;
  /** The last good copies of lists of relays. */
  readonly registryDir: string;
  /** Requests that the inspector recorded, a folder an identity. */
  readonly historyDir: string;
  /** What the user allowed each configuration. */
  readonly allowedDir: string;
  /** A relay's own store and key, when it was given no --data-dir. */
  readonly relayDir: string;
  /** Local sockets of running agents. */
  readonly runDir: string;
  /** What can be made again at any time. */
  readonly cacheDir: string;
}

/**
 * `PORTAL_HOME` moves everything into one folder; without it the XDG base directories
 * (XDG Base Directory Specification 0.8) are followed on every platform: one that is empty counts as unset, a
 * relative one is ignored. Every path is absolute: a key must never lie where the program happened to start.
 */
export function portalPaths(env: NodeJS.ProcessEnv): Paths {
  const home = portalHome(env);
  if (home !== undefined) {
    return {
      identityFile: join(home, 'identity.json'),
      caDir: join(home, 'ca'),
      acmeDir: join(home, 'acme'),
      registryDir: join(home, 'registry'),
      historyDir: join(home, 'history'),
      allowedDir: join(home, 'allowed'),
      relayDir: join(home, 'relay'),
      runDir: join(home, 'run'),
      cacheDir: join(home, 'cache'),
    };
  }
  const { config, data, state, cache, runtime } = xdgFolders(env);
  return {
    identityFile: join(config, 'identity.json'),
    caDir: join(data, 'ca'),
    acmeDir: join(state, 'acme'),
    registryDir: join(state, 'registry'),
    historyDir: join(state, 'history'),
    allowedDir: join(state, 'allowed'),
    relayDir: join(state, 'relay'),
    cacheDir: cache,
    runDir: runtime ?? join(state, 'run'),
  };
}

/** Folders that are Portal's alone: what is in them may be given to the user who runs it. */
export function ownFolders(env: NodeJS.ProcessEnv): string[] {
  const home = portalHome(env);
  return home === undefined ? Object.values(xdgFolders(env)).filter((each) => each !== undefined) : [home];
}

function xdgFolders(env: NodeJS.ProcessEnv) {
  const user = homeFolder(env);
  const runtime = absolute(env['XDG_RUNTIME_DIR']);
  return {
    config: join(absolute(env['XDG_CONFIG_HOME']) ?? join(user, '.config'), 'portal'),
    data: join(absolute(env['XDG_DATA_HOME']) ?? join(user, '.local', 'share'), 'portal'),
    state: join(absolute(env['XDG_STATE_HOME']) ?? join(user, '.local', 'state'), 'portal'),
    cache: join(absolute(env['XDG_CACHE_HOME']) ?? join(user, '.cache'), 'portal'),
    runtime: runtime === undefined ? undefined : join(runtime, 'portal'),
  };
}

/**
 * `PORTAL_HOME`, absolute. A shell leaves a quoted `~` as it is, and a unit file or a container knows none: a folder of
 * that name would get the keys.
 */
export function portalHome(env: NodeJS.ProcessEnv): string | undefined {
  const written = env['PORTAL_HOME'];
  if (!written) return undefined;
  return resolve(/^~(?![^/])/.test(written) ? join(homeFolder(env), written.slice(1)) : written);
}

/** The person's own folder, absolute. For a user id without an account, as containers have them, the root. */
export function homeFolder(env: NodeJS.ProcessEnv): string {
  return absolute(env['HOME']) ?? listedHome() ?? resolve('/');
}

/** Whether somebody named a home: HOME, or an account whose home is there. */
export function hasHome(env: NodeJS.ProcessEnv): boolean {
  if (absolute(env['HOME']) !== undefined) return true;
  const listed = listedHome();
  return listed !== undefined && existsSync(listed);
}

/** What the system's list of users says: `os.homedir()` repeats HOME, even an empty one. */
function listedHome(): string | undefined {
  try {
    return userInfo().homedir;
  } catch {
    return undefined;
  }
}

const absolute = (path: string | undefined): string | undefined =>
  path !== undefined && isAbsolute(path) ? path : undefined;
