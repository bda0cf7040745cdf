import type { LoadOptions, LoadResult } from '../config/load.js';
import { loadIdentity } from '../identity/file.js';
import { confinedPath } from '../lib/confined.js';
import { identityCreated, type Notice } from '../reconcile/notices.js';
import { load, type Loaded } from './load.js';
import type { Surroundings } from './surroundings.js';

/** Decides whether a file has the permissions that it asks for. */
export interface Gate<Refusal> {
  /** Resolves to undefined if the configuration may run. May throw `config_not_allowed`. */
  ask(loaded: Loaded): Promise<Refusal | undefined>;
  /** Returns a later save unchanged, or rejected if it asks for more than is allowed. */
  admit(result: LoadResult): Promise<LoadResult>;
  /** Files that may contain more permissions after a change. */
  inputs(loaded: Loaded): Promise<string[]>;
}

export interface Admission<Refusal> {
  readonly loaded: Loaded;
  /** Notices about files that were created. */
  readonly made: readonly Notice[];
  /** Why the configuration must not run. */
  readonly refusal: Refusal | undefined;
}

/**
 * Asks whether `first` may run. If it needs an identity for `${id}` or `${user}`, creates that, loads again, and asks again.
 */
export async function admission<Refusal>(
  { paths }: Surroundings,
  loading: LoadOptions,
  first: Loaded,
  gate: Pick<Gate<Refusal>, 'ask'>,
): Promise<Admission<Refusal>> {
  const refusal = await gate.ask(first);
  const made: Notice[] = [];
  if (refusal !== undefined || !first.needsIdentity) return { loaded: first, made, refusal };
  const file = first.desired.identityFile ?? paths.identityFile;
  await loadIdentity(await confinedPath(file), {
    create: true,
    onCreated: ({ address }) => made.push(identityCreated(file, address)),
  });
  const loaded = await load(loading);
  // The file may have changed meanwhile, and may ask for more.
  return { loaded, made, refusal: await gate.ask(loaded) };
}
