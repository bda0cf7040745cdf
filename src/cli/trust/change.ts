import type { Look, TrustStore } from './store.js';

export type Change = 'install' | 'uninstall';
type Outcome = 'installed' | 'removed' | 'unchanged' | 'skipped' | 'failed';

export interface StoreReport {
  readonly store: TrustStore;
  /** After the change. */
  readonly look: Look;
  readonly outcome?: Outcome;
  /** Whether the change created the store. */
  readonly isCreated?: boolean;
  readonly message?: string;
  readonly hint?: string;
}

/** Looks into a store without changing it. */
export async function inspectStore(store: TrustStore): Promise<StoreReport> {
  const look = await store.look();
  if (look.trusted !== undefined) return { store, look };
  return { store, look, ...whyUnreadable(store, look) };
}

/** Installs or removes the CA in one store. Never throws, so that the other stores follow. */
export async function changeStore(store: TrustStore, change: Change): Promise<StoreReport> {
  const before = await store.look();
  if (isDone(before, change)) return { store, look: before, outcome: 'unchanged' };
  const { obstacle } = store;
  if (obstacle) {
    const outcome = obstacle.isExpected ? 'skipped' : 'failed';
    return { store, look: before, outcome, message: obstacle.message, hint: obstacle.hint };
  }
  if (before.trusted === undefined)
    return { store, look: before, outcome: 'failed', ...whyUnreadable(store, before) };
  try {
    await store[change]();
  } catch (error) {
    const hint = 'Run the commands below in a terminal.';
    return { store, look: await store.look(), outcome: 'failed', message: (error as Error).message, hint };
  }
  const look = await store.look();
  if (!isDone(look, change)) {
    const message = change === 'install' ? 'the store still does not trust it' : 'the store still trusts it';
    return {
      store,
      look,
      outcome: 'failed',
      message,
      hint: 'Check the certificate in the store by hand.',
    };
  }
  const isCreated = change === 'install' && !store.exists;
  return { store, look, outcome: change === 'install' ? 'installed' : 'removed', isCreated };
}

const isDone = ({ trusted, present }: Look, change: Change): boolean =>
  change === 'install' ? trusted === true : trusted === false && !present;

function whyUnreadable({ obstacle, path }: TrustStore, { problem }: Look): { message: string; hint: string } {
  const message = obstacle?.message ?? problem ?? 'cannot read the store';
  return { message, hint: obstacle?.hint ?? `Check the files in ${path}.` };
}
