import { useEffect, useRef, useState } from 'preact/hooks';
import type { AgentsResponse } from '../../src/protocol/agents.js';
import { readAgents, ResponseError, signInBy } from './api.js';

/** The page's state, and how it refreshes. */

type State =
  | { readonly name: 'loading' }
  /** `why` is the relay's message, if there is one. */
  | { readonly name: 'signed-out'; readonly why?: string }
  | { readonly name: 'view'; readonly view: AgentsResponse; readonly error?: string };

const EVERY_MS = 3_000;
const UNAUTHORIZED = 401;

export interface Agents {
  readonly state: State;
  readonly refresh: () => Promise<void>;
}

export function useAgents(): Agents {
  const [state, set] = useState<State>({ name: 'loading' });
  /** State for timers: whether to refresh, and whether a request is pending. */
  const now = useRef({ isIn: false, isAsking: false });
  now.current.isIn = state.name === 'view';

  const refresh = async (): Promise<void> => {
    now.current.isAsking = true;
    try {
      const view = await readAgents();
      set({ name: 'view', view });
    } catch (error) {
      if (error instanceof ResponseError && error.status === UNAUTHORIZED) set({ name: 'signed-out' });
      else set((before) => troubled(before, error));
    }
    now.current.isAsking = false;
  };

  /** Signs in with the code after `#`, and removes it from the address bar and the history. */
  const enter = async (): Promise<void> => {
    const code = location.hash.slice(1);
    if (code === '') return refresh();
    history.replaceState(null, '', location.pathname);
    try {
      await signInBy(code);
    } catch (error) {
      return set({ name: 'signed-out', why: wordsOf(error) });
    }
    return refresh();
  };

  useEffect(() => {
    void enter();
    // A link opened in a tab with this page changes only the hash, and does not reload it.
    const onHash = (): void => void enter();
    // A hidden page needs no refresh.
    const refreshIfVisible = (): void => {
      const { isIn, isAsking } = now.current;
      if (isIn && !isAsking && document.visibilityState === 'visible') void refresh();
    };
    addEventListener('hashchange', onHash);
    document.addEventListener('visibilitychange', refreshIfVisible);
    const timer = setInterval(refreshIfVisible, EVERY_MS);
    return () => {
      removeEventListener('hashchange', onHash);
      document.removeEventListener('visibilitychange', refreshIfVisible);
      clearInterval(timer);
    };
  }, []);

  return { state, refresh };
}

function troubled(before: State, error: unknown): State {
  if (before.name === 'view') return { ...before, error: wordsOf(error) };
  return { name: 'signed-out', why: wordsOf(error) };
}

export function wordsOf(error: unknown): string {
  if (error instanceof ResponseError) return error.message;
  return 'the relay does not respond';
}
