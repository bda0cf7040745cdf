import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { createProgram } from '../../src/cli/grammar/program.js';

/** Throws for a flag or a value that `portal` rejects, like the command line. */
export async function parsed(args: readonly string[]): Promise<Record<string, unknown>> {
  let options: Record<string, unknown> | undefined;
  async function note(this: Command): Promise<void> {
    options = this.opts();
  }
  const program = createProgram({ write: () => undefined, execute: () => note });
  await program.parseAsync(args, { from: 'user' });
  return options!;
}

const src = fileURLToPath(new URL('../../src', import.meta.url));

/** Environment variables that the program reads. */
export const knownVariables: ReadonlySet<string | undefined> = new Set(
  readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(src, path), 'utf8'))
    .flatMap((text) => [
      ...text.matchAll(/env\[?\.?'?([A-Z][A-Z_]+)'?\]?/g),
      ...text.matchAll(/_ENV = '([A-Z][A-Z_]+)'/g),
    ])
    .map(([, name]) => name),
);
