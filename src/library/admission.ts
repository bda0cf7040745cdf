import type { LoadOptions } from '../config/load.js';
import { loadIdentity } from '../identity/file.js';
import { confinedPath } from '../lib/confined.js';
import { identityCreated, type Notice } from '../reconcile/notices.js';
import { load, type Loaded } from './load.js';
import type { Surroundings } from './surroundings.js';

/** A configuration that may run, and notices about what was created for it; or why it was refused. */
export type Admission<Refusal> =
  | { readonly loaded: Loaded; readonly made: readonly Notice[] }
  | { readonly refusal: Refusal };

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
  if (refusal !== undefined) return { refusal };
  if (!first.needsIdentity) return { loaded: first, made: [] };
  const made: Notice[] = [];
  const file = first.desired.identityFile ?? paths.identityFile;
  await loadIdentity(await confinedPath(file), {
    create: true,
    onCreated: ({ address }) => made.push(identityCreated(file, address)),
  });
  const loaded = await load(loading);
  // The file may have changed meanwhile, and may ask for more.
  const refusedNow = await ask(loaded);
  return refusedNow === undefined ? { loaded, made } : { refusal: refusedNow };
}
