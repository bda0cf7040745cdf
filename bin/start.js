import module from 'node:module';

// Required instead of imported, because an import reads every export of a module, and some exports load more, for
// example streams of files.
const require = module.createRequire(import.meta.url);
const { existsSync, lstatSync, mkdirSync } = require('node:fs');
const { homedir } = require('node:os');
const { dirname, isAbsolute, join } = require('node:path');
const { fileURLToPath } = require('node:url');

/** The work of bin/portal.js on a Node that is new enough. */
const main = new URL('../dist/portal/main.js', import.meta.url);
if (existsSync(fileURLToPath(main))) {
  // V8 reuses compiled code between starts, where Node supports that (22.1). This saves a third of the time of a
  // command.
  const cache = compileCacheFolder(process.env);
  if (cache !== undefined && module.enableCompileCache && isOwn(cache)) module.enableCompileCache(cache);
  await import(main.href).then((portal) => portal.main(process.argv));
} else {
  process.stderr.write('error: Portal is not built yet. Run `npm run build` in its folder.\n');
  process.exitCode = 1;
}

/**
 * The folder for compiled code. Someone who can write there can run code as this user, so it must belong to the user.
 */
function compileCacheFolder(env) {
  const { PORTAL_HOME, XDG_CACHE_HOME } = env;
  const home = homeFolder();
  if (PORTAL_HOME) {
    // Parsed like in src/lib/paths.ts.
    if (!/^~(?![^/])/.test(PORTAL_HOME)) return join(PORTAL_HOME, 'cache');
    return home ? join(home, PORTAL_HOME.slice(1), 'cache') : undefined;
  }
  if (XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME)) return join(XDG_CACHE_HOME, 'portal');
  return home !== undefined && isAbsolute(home) ? join(home, '.cache', 'portal') : undefined;
}

/** Creates the folder and checks that only this user can write to it: under sudo, HOME may belong to another user. */
function isOwn(folder) {
  for (const path of [dirname(folder), folder]) {
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch {
      // The folder exists, or the check below fails.
    }
  }
  try {
    const stats = lstatSync(folder);
    const isMine = !process.geteuid || (stats.uid === process.geteuid() && (stats.mode & 0o022) === 0);
    return stats.isDirectory() && isMine;
  } catch {
    return false;
  }
}

/** Undefined for a user id without an account and without HOME, as in containers. */
function homeFolder() {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}
