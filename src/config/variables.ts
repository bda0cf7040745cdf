import { userInfo } from 'node:os';
import type { Dotenv } from './dotenv.js';
import type { Lookup } from './interpolate.js';

/**
 * Where `${…}` takes its values from: `${user}`, then the environment, then the `.env` beside the file.
 * @param dotenv what the .env file sets
 */
export function variables(env: NodeJS.ProcessEnv, dotenv: Dotenv['values'], userName?: string): Lookup {
  return (name) => {
    if (name === 'user') return dnsLabel(userName ?? loginName(env));
    return env[name] ?? (Object.hasOwn(dotenv, name) ? dotenv[name] : undefined);
  };
}

function loginName(env: NodeJS.ProcessEnv): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run under a user id that no user database knows.
    return env['USER'] ?? env['USERNAME'] ?? '';
  }
}

/** Any name as one DNS label: accents dropped, everything else that does not fit made hyphens. */
export function dnsLabel(name: string): string {
  const label = name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return label || 'user';
}
