import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** The subset of a Compose file that deploy/ uses. */

export interface ComposeService {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target: string };
  readonly command?: string | readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly init?: boolean;
  readonly networks?: Readonly<Record<string, { readonly ipv4_address: string }>>;
  readonly ports?: readonly string[];
  readonly restart?: string;
  readonly stop_grace_period?: string;
  readonly volumes?: readonly string[];
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, null>>;
}

/** Reads a Compose file, with these variables. Throws for a variable that the file requires. */
export function readCompose(file: string, variables: Readonly<Record<string, string>>): ComposeFile {
  return parse(interpolated(readFileSync(file, 'utf8'), variables), { merge: true }) as ComposeFile;
}

/** The words of a service's command. */
export const commandOf = ({ command = [] }: ComposeService): readonly string[] =>
  typeof command === 'string' ? command.split(/\s+/).filter(Boolean) : command;

function interpolated(text: string, variables: Readonly<Record<string, string>>): string {
  const pattern = /\$\{(?<name>\w+)(?::(?<kind>[-?])(?<rest>[^}]*))?\}/g;
  return text.replaceAll(pattern, (...match) => {
    const { name, kind, rest } = match.at(-1) as Record<string, string | undefined>;
    const value = variables[name!] ?? (kind === '-' ? rest : undefined);
    if (value === undefined) throw new Error(`${name} is not set: ${rest ?? ''}`);
    return value;
  });
}
