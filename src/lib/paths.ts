import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

/** Where Portal stores its files. No other code builds such a path. */
export interface Paths {
  /** The default identity of the user. */
  readonly identityFile: string;
  /** The agents that the user has accepted in `portal connect`. */
  readonly knownAgentsFile: string;
  /** The local CA: `ca.pem`, `ca.key.pem`. */
  readonly caDir: string;
  /** ACME accounts and certificates. */
  readonly acmeDir: string;
  /** The last valid copies of relay lists. */
  readonly registryDir: string;
  /** Requests recorded by the inspector, one folder per identity. */
  readonly historyDir: string;
  /** Requests that wait for their target, one folder per identity. */
  readonly heldDir: string;
  /** What the user allowed each configuration. */
  readonly allowedDir: string;
  /** A relay's store and key, without --data-dir. */
  readonly relayDir: string;
  /** Local sockets of running agents. */
  readonly runDir: string;
  /** Files that Portal can create again at any time. */
  readonly cacheDir: string;
}

/**
 * The paths for an environment. `PORTAL_HOME` moves everything into one folder. Without it, Portal follows the XDG Base
 * Directory Specification 0.8 on every platform: an empty folder counts as unset, and a relative one is ignored. Every path is
 * absolute, so that a key never lands in the current folder.
 */
export function portalPaths(env: NodeJS.ProcessEnv): Paths {
  const home = portalHome(env);
  if (home !== undefined) {
    return {
      identityFile: join(home, 'identity.json'),
      knownAgentsFile: join(home, 'known-agents'),
      caDir: join(home, 'ca'),
      acmeDir: join(home, 'acme'),
      registryDir: join(home, 'registry'),
      historyDir: join(home, 'history'),
      heldDir: join(home, 'held'),
      allowedDir: join(home, 'allowed'),
      relayDir: join(home, 'relay'),
      runDir: join(home, 'run'),
      cacheDir: join(home, 'cache'),
    };
  }
  const { config, data, state, cache, runtime } = xdgFolders(env);
  return {
    identityFile: join(config, 'identity.json'),
    knownAgentsFile: join(config, 'known-agents'),
    caDir: join(data, 'ca'),
    acmeDir: join(state, 'acme'),
    registryDir: join(state, 'registry'),
    historyDir: join(state, 'history'),
    heldDir: join(state, 'held'),
    allowedDir: join(state, 'allowed'),
    relayDir: join(state, 'relay'),
    cacheDir: cache,
    runDir: runtime ?? join(state, 'run'),
  };
}

/** Folders that belong to Portal alone. Their files may be given to the user who runs it. */
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
 * `PORTAL_HOME` as an absolute path. Shells do not expand a quoted `~`, and unit files and containers never do: without this,
 * the keys would go to a folder named `~`.
 */
export function portalHome(env: NodeJS.ProcessEnv): string | undefined {
  const written = env['PORTAL_HOME'];
  if (!written) return undefined;
  return resolve(/^~(?![^/])/.test(written) ? join(homeFolder(env), written.slice(1)) : written);
}

/** The user's home folder, absolute. The root folder for a user id without an account, as in containers. */
export function homeFolder(env: NodeJS.ProcessEnv): string {
  return absolute(env['HOME']) ?? listedHome() ?? resolve('/');
}

/** Whether HOME is set, or the account has an existing home folder. */
export function hasHome(env: NodeJS.ProcessEnv): boolean {
  if (absolute(env['HOME']) !== undefined) return true;
  const listed = listedHome();
  return listed !== undefined && existsSync(listed);
}

/** The home folder in the system's list of users. `os.homedir()` repeats HOME, even if it is empty. */
function listedHome(): string | undefined {
  try {
    return userInfo().homedir;
  } catch {
    return undefined;
  }
}

const absolute = (path: string | undefined): string | undefined =>
  path !== undefined && isAbsolute(path) ? path : undefined;
