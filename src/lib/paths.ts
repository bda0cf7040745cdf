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
      relayDir: join(home, 'relay'),
      runDir: join(home, 'run'),
      cacheDir: join(home, 'cache'),
    };
  }
  const user = homeFolder(env);
  const config = join(absolute(env['XDG_CONFIG_HOME']) ?? join(user, '.config'), 'portal');
  const data = join(absolute(env['XDG_DATA_HOME']) ?? join(user, '.local', 'share'), 'portal');
  const state = join(absolute(env['XDG_STATE_HOME']) ?? join(user, '.local', 'state'), 'portal');
  const cache = join(absolute(env['XDG_CACHE_HOME']) ?? join(user, '.cache'), 'portal');
  const runtime = absolute(env['XDG_RUNTIME_DIR']);
  return {
    identityFile: join(config, 'identity.json'),
    caDir: join(data, 'ca'),
    acmeDir: join(state, 'acme'),
    registryDir: join(state, 'registry'),
    historyDir: join(state, 'history'),
    relayDir: join(state, 'relay'),
    cacheDir: cache,
    runDir: runtime === undefined ? join(state, 'run') : join(runtime, 'portal'),
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

/** The person's own folder, absolute. */
export function homeFolder(env: NodeJS.ProcessEnv): string {
  return absolute(env['HOME']) ?? listedHome();
}

/** What the system's list of users says: `os.homedir()` repeats HOME, even an empty one. */
function listedHome(): string {
  try {
    return userInfo().homedir;
  } catch {
    // A user id without an entry, as containers have them; what cannot be written there says so.
    return resolve('/');
  }
}

const absolute = (path: string | undefined): string | undefined =>
  path !== undefined && isAbsolute(path) ? path : undefined;
