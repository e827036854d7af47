import { useAct } from "../../api/queries";
import type { DeadLetterFilter, Operation } from "../../api/schema";
import { counted, whole } from "../../lib/format";
import { began, ended } from "../../shell/operation-bar";
import { ActionDialog } from "../../ui/dialog";

export type Kind = Operation["kind"];

/** All that match, of those that were there when they were counted. */
export interface Counted {
  filter: DeadLetterFilter;
  until: string;
}

/** What somebody wants to do, and to how many. */
export interface Intent {
  kind: Kind;
  body: { ids: string[] } | Counted;
  count: number;
  what: string;
}

/** Asks whether it is meant, and does it. */
export function Ask({ intent, onClose }: { intent: Intent; onClose: () => void }) {
  const { kind, body, count, what } = intent;
  const done = (operation: Operation) => {
    if (operation.state === "running") began(operation);
    else ended(operation);
    return null;
  };
  const replay = useAct("replayDeadLetters", done);
  const remove = useAct("deleteDeadLetters", done);
  const act = kind === "replay" ? replay : remove;
  const many = counted(count, "dead letter");
  return (
    <ActionDialog
      title={kind === "replay" ? `Retry ${many}?` : `Delete ${many} for good?`}
      action={kind === "replay" ? `Retry ${whole(count)}` : `Delete ${whole(count)}`}
      danger={kind === "delete"}
      busy={act.isPending}
      onClose={onClose}
      onAct={() => {
        act.mutate({ body });
        onClose();
      }}
    >
      <p className="muted confirm-what">{what}</p>
      {kind === "replay" ? (
        <p>They go back to their queues with no retries used. You can stop it on the way.</p>
      ) : (
        <p>
          The tasks and their payloads are gone, and nothing brings them back. Export them first, if they may be needed.
        </p>
      )}
      {"filter" in body && (
        <p className="muted">
          {whole(count)} {count === 1 ? "was" : "were"} counted when you asked. What died since is left alone, and what
          others took meanwhile is not there to be taken: how many it was is said at the end.
        </p>
      )}
    </ActionDialog>
  );
}
