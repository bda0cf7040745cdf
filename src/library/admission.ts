import type { LoadOptions } from '../config/load.js';
import { loadIdentity } from '../identity/file.js';
import { confinedPath } from '../lib/confined.js';
import { identityCreated, type Notice } from '../reconcile/notices.js';
import { load, type Loaded } from './load.js';
import type { Surroundings } from './surroundings.js';

export interface Admission<Refusal> {
  readonly loaded: Loaded;
  /** Notices about files that were created. */
  readonly made: readonly Notice[];
  /** Why the configuration must not run. */
  readonly refusal: Refusal | undefined;
}

/**
 * Asks whether `first` may run. If it needs an identity for `${id}` or `${user}`, creates that, loads again, and asks again.
 *
 * @param ask resolves to undefined if the configuration is allowed
 */
export async function admission<Refusal>(
  { paths }: Surroundings,
  loading: LoadOptions,
  first: Loaded,
  ask: (loaded: Loaded) => Promise<Refusal | undefined>,
): Promise<Admission<Refusal>> {
  const refusal = await ask(first);
  const made: Notice[] = [];
  if (refusal !== undefined || !first.needsIdentity) return { loaded: first, made, refusal };
  const file = first.desired.identityFile ?? paths.identityFile;
  await loadIdentity(await confinedPath(file), {
    create: true,
    onCreated: ({ address }) => made.push(identityCreated(file, address)),
  });
  const loaded = await load(loading);
  // The file may have changed meanwhile, and may ask for more.
  return { loaded, made, refusal: await ask(loaded) };
}
