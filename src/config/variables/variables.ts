import { userInfo } from 'node:os';
import type { Dotenv } from './dotenv.js';
import { branchOf } from './git-branch.js';
import type { Lookup } from './interpolate.js';

/** The values behind `${user}`, `${branch}` and `${id}`. */
export interface VariableSources {
  readonly env: NodeJS.ProcessEnv;
  /** The folder of the configuration. */
  readonly folder: string;
  /** The value of `${user}`. Default: PORTAL_USER, git or the operating system. */
  readonly userName?: string | undefined;
  /** `user.name` of git. */
  readonly gitUser?: (() => string | undefined) | undefined;
  /** The address of the identity; undefined before it exists. */
  readonly address?: string | undefined;
}

/** Logins that many people share. */
const SHARED_LOGINS: ReadonlySet<string> = new Set([
  'admin', 'app', 'codespace', 'coder', 'debian', 'docker', 'ec2-user', 'gitpod', 'node', 'pi', 'root', 'runner', 'ubuntu', 'user', 'vagrant', 'vscode',
]); // prettier-ignore

/** Hex digits of an address that `${id}` shows. */
const ID_LENGTH = 8;

/** Where `${…}` looks up values before the `.env` beside the file: Portal's own variables, then the environment. */
export function variables(sources: VariableSources): (name: string) => string | undefined {
  let user: string | undefined;
  return (name) => {
    if (name === 'user') return (user ??= userLabel(sources));
    if (name === 'branch') return optionalLabel(branchOf(sources.folder, sources.env));
    if (name === 'id') return idOf(sources.address);
    return sources.env[name];
  };
}

/** Whether a text needs to know the identity: `${id}`, and `${user}` for a login that many people share. */
export function namesIdentity(text: string | undefined): boolean {
  return text !== undefined && /\$\{(id|user)\b/.test(text);
}

/** `first`, then the variables of a `.env`. */
export function withDotenv(first: Lookup, dotenv: Dotenv['values']): Lookup {
  return (name) => first(name) ?? dotenv.get(name);
}

/** The first digits of the address; zeros before there is an identity. */
function idOf(address: string | undefined): string {
  return (address ?? '').slice(2, 2 + ID_LENGTH).toLowerCase() || '0'.repeat(ID_LENGTH);
}

/** A person's own label. For a login that many people share, uses the identity to distinguish them. */
function userLabel({ env, userName, gitUser, address }: VariableSources): string {
  const chosen = optionalLabel(userName ?? env['PORTAL_USER']);
  if (chosen !== undefined) return chosen;
  const login = optionalLabel(loginName(env));
  for (const label of [optionalLabel(gitUser?.()), login])
    if (label !== undefined && !SHARED_LOGINS.has(label)) return label;
  return `${login ?? 'user'}-${idOf(address).slice(0, 4)}`;
}

function loginName(env: NodeJS.ProcessEnv): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run under a user id without an account.
    return env['USER'] ?? env['USERNAME'] ?? '';
  }
}

/** Turns any name into a DNS label: drops accents and replaces other invalid characters by hyphens. */
export function dnsLabel(name: string): string {
  return optionalLabel(name) ?? 'user';
}

function optionalLabel(name: string | undefined): string | undefined {
  const label = (name ?? '')
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return label || undefined;
}
