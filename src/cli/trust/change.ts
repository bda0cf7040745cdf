import type { StoreState, TrustStore } from './store.js';

export type Change = 'install' | 'uninstall';
type Outcome = 'installed' | 'removed' | 'unchanged' | 'skipped' | 'failed';

export interface StoreReport {
  readonly store: TrustStore;
  /** The state after the change. */
  readonly state: StoreState;
  readonly outcome?: Outcome;
  /** Whether the change created the store. */
  readonly isCreated?: boolean;
  readonly message?: string;
  readonly hint?: string;
}

/** Reads the state of a store without changing it. */
export async function inspectStore(store: TrustStore): Promise<StoreReport> {
  const state = await store.inspect();
  if (state.trusted !== undefined) return { store, state };
  return { store, state, ...whyUnreadable(store, state) };
}

/** Installs or removes the CA in one store. Never throws, so that the other stores follow. */
export async function changeStore(store: TrustStore, change: Change): Promise<StoreReport> {
  const before = await store.inspect();
  if (isDone(before, change)) return { store, state: before, outcome: 'unchanged' };
  const { obstacle } = store;
  if (obstacle) {
    const outcome = obstacle.isExpected ? 'skipped' : 'failed';
    return { store, state: before, outcome, message: obstacle.message, hint: obstacle.hint };
  }
  if (before.trusted === undefined)
    return { store, state: before, outcome: 'failed', ...whyUnreadable(store, before) };
  try {
    await store[change]();
  } catch (error) {
    const hint = 'Run the commands below in a terminal.';
    return {
      store,
      state: await store.inspect(),
      outcome: 'failed',
      message: (error as Error).message,
      hint,
    };
  }
  const state = await store.inspect();
  if (!isDone(state, change)) {
    const message = change === 'install' ? 'the store still does not trust it' : 'the store still trusts it';
    return {
      store,
      state,
      outcome: 'failed',
      message,
      hint: 'Check the certificate in the store by hand.',
    };
  }
  const isCreated = change === 'install' && !store.exists;
  return { store, state, outcome: change === 'install' ? 'installed' : 'removed', isCreated };
}

const isDone = ({ trusted, present }: StoreState, change: Change): boolean =>
  change === 'install' ? trusted === true : trusted === false && !present;

function whyUnreadable(
  { obstacle, path }: TrustStore,
  { problem }: StoreState,
): { message: string; hint: string } {
  const message = obstacle?.message ?? problem ?? 'cannot read the store';
  return { message, hint: obstacle?.hint ?? `Check the files in ${path}.` };
}
