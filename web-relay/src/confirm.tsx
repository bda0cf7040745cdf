import { useEffect, useRef } from 'preact/hooks';

export interface Question {
  readonly title: string;
  readonly text: string;
  readonly yes: string;
  readonly onYes: () => void | Promise<void>;
}

/** A modal dialog: the browser keeps focus in it, and Escape cancels. */
export function Confirm({ title, text, yes, onYes, onNo }: Question & { readonly onNo: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="question" aria-describedby="consequence" onClose={onNo}>
      <h2 id="question">{title}</h2>
      <p id="consequence">{text}</p>
      <div class="buttons">
        <button type="button" onClick={onNo}>
          Cancel
        </button>
        <button type="button" class="danger solid" onClick={() => void onYes()}>
          {yes}
        </button>
      </div>
    </dialog>
  );
}
