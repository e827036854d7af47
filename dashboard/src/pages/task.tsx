import { useState } from "react";
import { isGone } from "../api/client";
import { useAct, useAsk } from "../api/queries";
import type { TaskDetail } from "../api/schema";
import { span, whole } from "../lib/format";
import { href } from "../lib/router";
import { useSession } from "../session";
import { Unanswered } from "../ui/asked";
import { Empty, Id, Notice, StateWord } from "../ui/basics";
import { ActionDialog } from "../ui/dialog";
import { FactsPanel } from "../ui/facts";
import { Due } from "../ui/times";
import { LetterActions } from "./letter-actions";
import { Attempts, common, PayloadPanel, Timeline } from "./parts";
import { steps } from "./timeline";

export function TaskPage({ id, queue }: { id: string; queue: string | null }) {
  const asked = useAsk("getTask", { at: { id }, query: queue ? { queue } : {} }, { every: 2000 });
  const task = asked.data;
  const gone = isGone(asked.error);
  if (!task) return gone ? <Unknown id={id} /> : <Unanswered asked={asked} />;
  return (
    <>
      {gone && (
        <Notice>
          It has ended, or was taken away, and nothing keeps it any longer: this is what was last known. Completed tasks
          are kept as long as the history reaches, and where many complete at once a sample of them.
        </Notice>
      )}
      <div className="detail-head">
        <StateWord state={task.state} />
        <h2>{task.type}</h2>
        <Id id={task.id} whole />
        <div className="row push">{!gone && <Actions task={task} />}</div>
      </div>
      <div className="columns two-one">
        <div className="stack">
          <Attempts attempts={task.attempts} leftOut={task.attempts_left_out} />
          <PayloadPanel payload={task.payload} redacted={task.redacted} leftOut={task.payload_left_out ?? false} />
          {task.has_result && <PayloadPanel title="Result" payload={task.result} redacted={[]} />}
        </div>
        <div className="stack">
          <Facts task={task} />
          <Timeline steps={steps(task)} />
        </div>
      </div>
    </>
  );
}

function Unknown({ id }: { id: string }) {
  return (
    <div className="panel">
      <Empty title="No queue and no history knows this task">
        <code>{id}</code>
        <br />
        Completed tasks are kept as long as the history reaches. Is the id whole?
      </Empty>
    </div>
  );
}

function Actions({ task }: { task: TaskDetail }) {
  const session = useSession();
  const [asking, setAsking] = useState(false);
  const cancel = useAct("cancelTask", () => "Cancelled: it will not run");
  if (!session.may_change) return null;
  if (task.state === "dead" && task.dead_letter)
    return <LetterActions id={task.dead_letter} payload={task.payload} readable />;
  if (task.state !== "waiting" && task.state !== "scheduled") return null;
  return (
    <>
      <button type="button" className="button danger" onClick={() => setAsking(true)}>
        Cancel task
      </button>
      {asking && (
        <ActionDialog
          title="Cancel this task?"
          action="Cancel task"
          danger
          busy={cancel.isPending}
          onClose={() => setAsking(false)}
          onAct={() => {
            cancel.mutate({ at: { id: task.id }, query: { queue: task.queue } });
            setAsking(false);
          }}
        >
          <p>
            <strong>{task.type}</strong> is taken out of {task.queue} and does not run. Its idempotency key is free
            again.
          </p>
        </ActionDialog>
      )}
    </>
  );
}

function Facts({ task }: { task: TaskDetail }) {
  return (
    <FactsPanel
      facts={[
        ...common(task),
        task.due_at !== null && ["Due", <Due key="due" at={task.due_at} />],
        task.worker !== null && [
          "Worker",
          <a key="worker" className="link" href={href(["workers", task.worker])}>
            <code>{task.worker}</code>
          </a>,
        ],
        ["Attempt", `${task.attempt} of ${task.max_retries + 1}`],
        task.deaths > 0 && ["Deaths", `${whole(task.deaths)}: its process ended while it ran`],
        task.reason !== null && ["Reason", task.reason],
        task.waited_ms !== null && ["Waited", span(task.waited_ms)],
        task.duration_ms !== null && ["Ran", span(task.duration_ms)],
        [
          "Where",
          task.place ? (
            <code key="place">{task.place.key + (task.place.entry ? ` ${task.place.entry}` : "")}</code>
          ) : (
            "in the history alone"
          ),
        ],
      ]}
    />
  );
}
