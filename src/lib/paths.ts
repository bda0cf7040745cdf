import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where Portal keeps its files. Nothing else in the program builds such a path. */
export interface Paths {
  /** The default identity: one per person. */
  readonly identityFile: string;
  /** The local CA: `ca.pem`, `ca.key.pem`. */
  readonly caDir: string;
  /** A relay's own store and key, when it was given no --data-dir. */
  readonly relayDir: string;
  /** Local sockets of running agents. */
  readonly runDir: string;
}

/**
 * `PORTAL_HOME` moves everything into one folder; without it the XDG base directories
 * (XDG Base Directory Specification 0.8) are followed on every platform.
 */
export function portalPaths(env: NodeJS.ProcessEnv): Paths {
  const home = env['PORTAL_HOME'];
  if (home) {
    return {
      identityFile: join(home, 'identity.json'),
      caDir: join(home, 'ca'),
      relayDir: join(home, 'relay'),
      runDir: join(home, 'run'),
    };
  }
  const user = env['HOME'] ?? homedir();
  const config = join(env['XDG_CONFIG_HOME'] ?? join(user, '.config'), 'portal');
  const data = join(env['XDG_DATA_HOME'] ?? join(user, '.local', 'share'), 'portal');
  const state = join(env['XDG_STATE_HOME'] ?? join(user, '.local', 'state'), 'portal');
  return {
    identityFile: join(config, 'identity.json'),
    caDir: join(data, 'ca'),
    relayDir: join(state, 'relay'),
    runDir: env['XDG_RUNTIME_DIR'] ? join(env['XDG_RUNTIME_DIR'], 'portal') : join(state, 'run'),
  };
}
