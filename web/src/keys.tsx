import { useEffect, useRef } from 'preact/hooks';

/**
 * Single-key shortcuts while the caller is shown. Ignores keys while the user types, and keys with Ctrl, Alt or Meta.
 */
export function useKeys(keys: Readonly<Record<string, () => unknown>>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
      if (document.querySelector('dialog[open]')) return;
      if (event.key !== 'Escape' && target.closest('input, select, textarea')) return;
      // Enter presses the button that has the focus.
      if (event.key === 'Enter' && target.closest('button, a, summary')) return;
      const act = latest.current[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener('keydown', onKeyDown);
    return () => removeEventListener('keydown', onKeyDown);
  }, []);
}

const SHORTCUTS = [
  ['j, k', 'next, previous request'],
  ['Enter', 'show the request'],
  ['Esc', 'back to the list'],
  ['/', 'search'],
  ['r', 'replay the request'],
  ['?', 'show these keys'],
] as const;

/** The keys, in a dialog that the browser closes with Esc. */
export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = (): void => dialog.current?.showModal();
  useKeys({ '?': open });
  return (
    <>
      <button type="button" class="help" aria-label="Keyboard shortcuts" onClick={open}>
        ?
      </button>
      <dialog ref={dialog} aria-labelledby="keys">
        <h2 id="keys">Keyboard shortcuts</h2>
        <dl>
          {SHORTCUTS.map(([key, what]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <form method="dialog">
          <button>Close</button>
        </form>
      </dialog>
    </>
  );
}
