import { useState } from "react";
import { useAct } from "../api/queries";
import { useHere } from "../lib/here";
import { objectProblem, printJson } from "../lib/json";
import { href, navigate } from "../lib/router";
import { ActionDialog } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { complain } from "../ui/toast";
import { PayloadField } from "./payload-field";

/** What can be done about one dead letter: retry it as it is or changed, or delete it. */
export function LetterActions({ id, payload, readable }: { id: string; payload: unknown; readable: boolean }) {
  const [asking, setAsking] = useState<"edit" | "delete" | null>(null);
  const here = useHere();
  const retry = useAct(
    "replayDeadLetter",
    (task) => {
      const said = task.known_type
        ? "Back in its queue, with all retries"
        : "Back in its queue. No live worker knows its type, so it waits";
      const to = href(["tasks", task.id], { queue: task.queue });
      if (!here.current) return [said, to];
      setAsking(null);
      navigate(to);
      return said;
    },
    // While it is open the dialog says it itself.
    (error) => (here.current && asking === "edit") || complain(error),
  );
  const drop = useAct("deleteDeadLetter", () => {
    if (here.current) navigate(href(["dead-letters"]));
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
          <button
            type="button"
            className="button"
            onClick={() => {
              retry.reset(); // an error of before is not one of what will be written
              setAsking("edit");
            }}
          >
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
        <ActionDialog
          title="Delete this dead letter?"
          action="Delete"
          danger
          busy={drop.isPending}
          onClose={close}
          onAct={() => {
            drop.mutate({ at: { id } });
            close();
          }}
        >
          <p>The task and its payload are gone for good. The history remembers that it died.</p>
        </ActionDialog>
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
  const [stored] = useState(() => printJson(payload));
  const [text, setText] = useState(stored);
  const problem = objectProblem(text);
  const hidden = text.includes('"[redacted]"');
  return (
    <ActionDialog
      title="Edit and retry"
      action="Retry with this payload"
      wide
      written={text !== stored}
      busy={problem !== null || busy}
      error={error}
      onClose={onClose}
      onAct={() => onSubmit(text)}
    >
      <PayloadField
        text={text}
        problem={problem}
        rows={Math.min(22, Math.max(8, text.split("\n").length + 1))}
        hint={hidden && "What reads [redacted] keeps its stored value, unless you write something else there."}
        onChange={setText}
      />
    </ActionDialog>
  );
}
