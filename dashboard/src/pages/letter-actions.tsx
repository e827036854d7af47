import { useState } from "react";
import { Problem } from "../api/client";
import { useAct } from "../api/queries";
import { objectProblem, printJson } from "../lib/json";
import { href, navigate } from "../lib/router";
import { Confirm, Dialog } from "../ui/dialog";
import { Icon } from "../ui/icon";

/** What can be done about one dead letter: retry it as it is or changed, or delete it. */
export function LetterActions({ id, payload, readable }: { id: string; payload: unknown; readable: boolean }) {
  const [asking, setAsking] = useState<"edit" | "delete" | null>(null);
  const retry = useAct("replayDeadLetter", (task) => {
    navigate(href(["tasks", task.id], { queue: task.queue }));
    return task.known_type
      ? "Back in its queue, with all retries"
      : "Back in its queue. No live worker knows its type, so it waits";
  });
  const drop = useAct("deleteDeadLetter", () => {
    navigate(href(["dead-letters"]));
    return "Deleted";
  });
  const close = () => setAsking(null);
  return (
    <>
      {readable && (
        <>
          <button
            type="button"
            className="button primary"
            disabled={retry.isPending}
            onClick={() => retry.mutate({ at: { id } })}
          >
            <Icon name="retry" size={14} />
            Retry
          </button>
          <button type="button" className="button" onClick={() => setAsking("edit")}>
            <Icon name="edit" size={14} />
            Edit and retry
          </button>
        </>
      )}
      <button type="button" className="button danger" onClick={() => setAsking("delete")}>
        <Icon name="trash" size={14} />
        Delete
      </button>
      {asking === "edit" && (
        <EditDialog
          payload={payload}
          busy={retry.isPending}
          error={retry.error}
          onClose={close}
          onSubmit={(text) => retry.mutate({ at: { id }, rawBody: `{"payload":${text}}` })}
        />
      )}
      {asking === "delete" && (
        <Confirm
          title="Delete this dead letter?"
          action="Delete"
          danger
          busy={drop.isPending}
          onClose={close}
          onConfirm={() => {
            drop.mutate({ at: { id } });
            close();
          }}
        >
          <p>The task and its payload are gone for good. The history remembers that it died.</p>
        </Confirm>
      )}
    </>
  );
}

function EditDialog({
  payload,
  busy,
  error,
  onSubmit,
  onClose,
}: {
  payload: unknown;
  busy: boolean;
  error: Error | null;
  onSubmit: (text: string) => void;
  onClose: () => void;
}) {
  const [text, setText] = useState(() => printJson(payload));
  const problem = objectProblem(text) ?? (error instanceof Problem && error.status === 422 ? error.message : null);
  const wrong = objectProblem(text) !== null;
  const hidden = text.includes('"[redacted]"');
  return (
    <Dialog
      title="Edit and retry"
      wide
      onClose={onClose}
      onSubmit={() => !wrong && onSubmit(text)}
      foot={
        <>
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" disabled={wrong || busy}>
            Retry with this payload
          </button>
        </>
      }
    >
      <label className="field">
        <span>Payload</span>
        <textarea
          className="input"
          rows={Math.min(22, Math.max(8, text.split("\n").length + 1))}
          value={text}
          spellCheck={false}
          aria-invalid={problem !== null}
          onChange={(event) => setText(event.target.value)}
        />
        {problem && (
          <span className="wrong" role="alert">
            {problem}
          </span>
        )}
        {hidden && (
          <span className="hint">
            What reads [redacted] keeps its stored value, unless you write something else there.
          </span>
        )}
      </label>
    </Dialog>
  );
}
