import { type FormEvent, type ReactNode, useId, useLayoutEffect, useRef } from "react";
import { ProblemBox } from "./basics";
import { Icon } from "./icon";

/** A modal dialog: the browser keeps the focus inside, and gives it back. */
export function Dialog({
  title,
  onClose,
  children,
  foot,
  onSubmit,
  wide = false,
  written = false,
}: {
  title: string;
  onClose: () => void;
  children: ReactNode;
  foot?: ReactNode;
  onSubmit?: () => void;
  wide?: boolean;
  /** Whether something was written in it, which a slip of the mouse is not to throw away. */
  written?: boolean;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const pressed = useRef<EventTarget>(null);
  const heading = useId();
  // Closed before it is taken out: afterwards no focus is given back.
  useLayoutEffect(() => {
    const element = dialog.current;
    if (element && !element.open) element.showModal();
    return () => element?.close();
  }, []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit?.();
  };
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes it, by the browser's own doing
    <dialog
      ref={dialog}
      className={wide ? "wide" : undefined}
      aria-labelledby={heading}
      onClose={() => !dialog.current?.open && onClose()}
      // A click beside it closes it; one that only ended there, as when text is marked with the mouse, does not.
      onPointerDown={({ target }) => {
        pressed.current = target;
      }}
      onClick={({ target }) => target === dialog.current && pressed.current === target && !written && onClose()}
    >
      <form onSubmit={submit} style={{ display: "contents" }}>
        <div className="dialog-head">
          <h2 id={heading}>{title}</h2>
        </div>
        <div className="dialog-body">{children}</div>
        {foot && <div className="dialog-foot">{foot}</div>}
        <button
          type="button"
          className="button plain small only-icon dialog-close"
          aria-label="Close"
          onClick={onClose}
        >
          <Icon name="close" />
        </button>
      </form>
    </dialog>
  );
}

/** A dialog that ends in an action or in nothing. Of what cannot be taken back the title or `children` has the count. */
export function ActionDialog({
  title,
  action,
  danger = false,
  wide = false,
  written = false,
  busy = false,
  error = null,
  onAct,
  onClose,
  children,
}: {
  title: string;
  action: string;
  danger?: boolean;
  wide?: boolean;
  written?: boolean;
  busy?: boolean;
  /** Why it did not work: what is said outside of a dialog cannot be reached while it is open. */
  error?: Error | null;
  onAct: () => void;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <Dialog
      title={title}
      wide={wide}
      written={written}
      onClose={onClose}
      onSubmit={() => !busy && onAct()}
      foot={
        <>
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className={danger ? "button primary danger" : "button primary"} disabled={busy}>
            {action}
          </button>
        </>
      }
    >
      {children}
      {error && <ProblemBox error={error} />}
    </Dialog>
  );
}
