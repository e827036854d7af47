import { type FormEvent, type ReactNode, useEffect, useId, useRef } from "react";
import { Icon } from "./icon";

/** A modal dialog: the browser keeps the focus inside, and gives it back. */
export function Dialog({
  title,
  onClose,
  children,
  foot,
  onSubmit,
  wide = false,
}: {
  title: string;
  onClose: () => void;
  children: ReactNode;
  foot?: ReactNode;
  onSubmit?: () => void;
  wide?: boolean;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
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
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && onClose()}
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

/** Asks before something that cannot be taken back. The count belongs in the title or in `children`. */
export function Confirm({
  title,
  action,
  danger = false,
  busy = false,
  onConfirm,
  onClose,
  children,
}: {
  title: string;
  action: string;
  danger?: boolean;
  busy?: boolean;
  onConfirm: () => void;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <Dialog
      title={title}
      onClose={onClose}
      onSubmit={onConfirm}
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
    </Dialog>
  );
}
