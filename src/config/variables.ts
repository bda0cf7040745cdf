import { userInfo } from 'node:os';
import type { Dotenv } from './dotenv.js';
import type { Lookup } from './interpolate.js';

/** Where `${…}` takes its values from before the `.env` beside the file: `${user}`, then the environment. */
export function variables(env: NodeJS.ProcessEnv, userName?: string): (name: string) => string | undefined {
  return (name) => (name === 'user' ? dnsLabel(userName ?? loginName(env)) : env[name]);
}

/** `first`, then what a `.env` sets. */
export function withDotenv(first: Lookup, dotenv: Dotenv['values']): Lookup {
  return (name) => first(name) ?? dotenv.get(name);
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
