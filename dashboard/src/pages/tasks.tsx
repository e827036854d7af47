import "./tasks.css";
import { lazy, Suspense, useEffect, useId, useState } from "react";
import { useAsk, usePages } from "../api/queries";
import type { History, State, TaskSummary } from "../api/schema";
import { short, shortId, whole } from "../lib/format";
import { href, setQuery } from "../lib/router";
import { useStore } from "../lib/store";
import { overview } from "../live/source";
import { useSession } from "../session";
import { PagesFoot, Unanswered } from "../ui/asked";
import { Empty, Span, StateWord, stateLabel } from "../ui/basics";
import { Icon } from "../ui/icon";
import { Overwritten } from "../ui/overwritten";
import { Ribbon } from "../ui/ribbon";
import { Rows } from "../ui/rows";
import { Ago, Due } from "../ui/times";
import { WORKER } from "./commands";
import { QueueSelect } from "./queue-select";

const EnqueueDialog = lazy(() => import("./enqueue").then((part) => ({ default: part.EnqueueDialog })));

const LIVE = ["waiting", "running", "scheduled", "dead"] as const;
const PAST = ["completed", "failed", "cancelled"] as const;
const STATES: readonly State[] = [...LIVE, ...PAST];

export function Tasks({ query }: { query: URLSearchParams }) {
  const state = STATES.find((one) => one === query.get("state")) ?? "waiting";
  const queue = query.get("queue") ?? "";
  const type = query.get("type") ?? "";
  const worker = state === "running" ? (query.get("worker") ?? "") : "";
  const [adding, setAdding] = useState(false);
  const session = useSession();
  return (
    <div className="tasks">
      <Rail state={state} queue={queue} type={type} />
      <section className="panel tasks-list" aria-label={`${stateLabel(state)} tasks`}>
        <div className="panel-head">
          <Filters queue={queue} type={type} worker={worker} />
          {session.may_change && (
            <div className="right">
              <button type="button" className="button small" onClick={() => setAdding(true)}>
                <Icon name="plus" size={14} />
                Enqueue
              </button>
            </div>
          )}
        </div>
        <List key={state} state={state} queue={queue} type={type} worker={worker} />
      </section>
      {adding && (
        <Suspense>
          <EnqueueDialog onClose={() => setAdding(false)} />
        </Suspense>
      )}
    </div>
  );
}

function Rail({ state, queue, type }: { state: State; queue: string; type: string }) {
  const now = useStore(overview);
  const counts = queue ? now?.queues.find((one) => one.name === queue) : now?.totals;
  const link = (one: State, count: number | null) => (
    <a key={one} href={href(["tasks"], { state: one, queue, type })} aria-current={one === state ? "page" : undefined}>
      <StateWord state={one} />
      {count !== null && (
        <span className="numbers" title={whole(count)}>
          {short(count)}
        </span>
      )}
    </a>
  );
  return (
    <Ribbon label="States" kind="rail" current={state}>
      <span className="rail-head">Now</span>
      {LIVE.map((one) => link(one, counts ? counts[one] : null))}
      <span className="rail-head">History</span>
      {PAST.map((one) => link(one, null))}
    </Ribbon>
  );
}

function Filters({ queue, type, worker }: { queue: string; type: string; worker: string }) {
  return (
    <div className="row wrap filters">
      <QueueSelect queue={queue} onChange={(chosen) => setQuery({ queue: chosen })} />
      <TypeFilter type={type} />
      {worker && (
        <button type="button" className="chip" onClick={() => setQuery({ worker: null })} title="Take this filter off">
          on {shortId(worker)}
          <Icon name="close" size={11} />
        </button>
      )}
      {(queue || type || worker) && (
        <button
          type="button"
          className="button plain small"
          onClick={() => setQuery({ queue: null, type: null, worker: null })}
        >
          Clear
        </button>
      )}
    </div>
  );
}

/** Filters as soon as a known type or none is written; any other one when Enter says that it is whole. */
function TypeFilter({ type }: { type: string }) {
  const types = useAsk("listTaskTypes");
  const list = useId();
  const [text, setText] = useState(type);
  useEffect(() => setText(type), [type]);
  const write = (written: string) => {
    setText(written);
    if (!written || types.data?.types.some((one) => one.type === written)) setQuery({ type: written });
  };
  return (
    <>
      <input
        className="input small"
        type="search"
        list={list}
        value={text}
        placeholder="Task type"
        aria-label="Task type"
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => write(event.target.value)}
        onKeyDown={(event) => event.key === "Enter" && setQuery({ type: text.trim() })}
      />
      <datalist id={list}>
        {types.data?.types.map((one) => (
          <option key={one.type} value={one.type} />
        ))}
      </datalist>
    </>
  );
}

function List({ state, queue, type, worker }: { state: State; queue: string; type: string; worker: string }) {
  const query = { state, ...(queue && { queue }), ...(type && { type }), ...(worker && { worker }) };
  const asked = usePages("listTasks", query, 2000);
  if (!asked.data) return <Unanswered asked={asked} rows={14} inside />;
  const pages = asked.data.pages;
  const items = pages.flatMap((page) => page.items);
  const filtered = Boolean(type || worker);
  const onward = asked.hasNextPage && !asked.isFetchingNextPage && !asked.stuck;
  return (
    <>
      <Overwritten keys={pages.flatMap((page) => page.broken ?? [])} from="this list" />
      <HistoryNote history={pages[0]?.history ?? null} />
      {items.length > 0 && <Head state={state} />}
      {items.length > 0 ? (
        <Rows
          items={items}
          height={matchMedia("(max-width: 860px)").matches ? 52 : 38}
          label="Tasks"
          place={`tasks/${state}/${queue}/${type}/${worker}`}
          keyOf={(task) => `${task.queue}/${task.id}/${task.attempt}/${task.since}`}
          render={(task) => <Row task={task} state={state} />}
          onEnd={onward && !filtered ? () => void asked.fetchNextPage() : undefined}
        />
      ) : (
        !asked.hasNextPage && <Nothing state={state} filtered={Boolean(filtered || queue)} />
      )}
      <PagesFoot asked={asked} filtered={filtered} />
    </>
  );
}

function HistoryNote({ history }: { history: History | null }) {
  if (!history) return null;
  if (history.length === 0) {
    return <p className="tasks-note">The history is off: HISTORY_LENGTH=0. Tasks that have ended are not kept.</p>;
  }
  return (
    <p className="tasks-note">
      The newest {whole(history.length)} tasks that ended are kept
      {history.oldest_at && (
        <>
          , now back to <Ago at={history.oldest_at} suffix />
        </>
      )}
      .
      {history.sampled && (
        <strong>
          {" "}
          A sample: of the completed at most {whole(history.per_s)} a second from each worker process; failed ones are
          all here.
        </strong>
      )}
    </p>
  );
}

const last: Record<State, string> = {
  waiting: "Waits",
  running: "Runs",
  scheduled: "Due",
  dead: "Died",
  completed: "Ended",
  failed: "Failed",
  cancelled: "Cancelled",
};

const hasWorker = (state: State) => state === "running" || state === "completed";
const hasRun = (state: State) => state === "completed" || state === "failed" || state === "dead";
const hasError = (state: State) => state === "failed" || state === "dead";

function Head({ state }: { state: State }) {
  return (
    <div className={`task-row task-head state-${state}`} aria-hidden="true">
      <span>Task type</span>
      <span>Id</span>
      <span>Queue</span>
      <span>Attempt</span>
      {state !== "failed" && <span className="task-by">{hasWorker(state) ? "Worker" : "Priority"}</span>}
      {hasRun(state) && <span className="number task-ran">Ran</span>}
      <span className="number">{last[state]}</span>
      <span>{hasError(state) ? "Error" : "Payload"}</span>
    </div>
  );
}

function Row({ task, state }: { task: TaskSummary; state: State }) {
  const to = task.dead_letter
    ? href(["dead-letters", task.dead_letter])
    : href(["tasks", task.id], { queue: task.queue });
  return (
    <a className={`task-row state-${state}`} href={to} data-row>
      <span className="task-type cut">
        <StateWord state={state === "failed" ? state : task.state} bare />
        <span className="cut" title={task.type}>
          {task.type}
        </span>
      </span>
      <code className="task-id cut" title={task.id}>
        {shortId(task.id)}
      </code>
      <span className="task-queue cut muted">{task.queue}</span>
      <span className="task-attempt numbers muted">
        {task.attempt}/{task.max_retries + 1}
        {task.deaths > 0 && (
          <span className="tone-dead toned" title={`${task.deaths} deaths`}>
            {` +${task.deaths}†`}
          </span>
        )}
      </span>
      {state !== "failed" && (
        <span className="task-by cut muted">
          {hasWorker(state) ? <code>{task.worker}</code> : <Priority task={task} />}
        </span>
      )}
      {hasRun(state) && (
        <span className="task-ran number numbers muted">
          <Span ms={task.duration_ms} />
        </span>
      )}
      <span className="task-at number numbers cut">
        {state === "scheduled" ? <Due at={task.due_at} /> : <Ago at={task.since} />}
      </span>
      <span className="task-more cut faint">{hasError(state) ? task.error : <code>{task.payload_preview}</code>}</span>
    </a>
  );
}

function Priority({ task }: { task: TaskSummary }) {
  return task.priority === "normal" ? (
    <>normal</>
  ) : (
    <span className={task.priority === "high" ? "tone-accent toned" : "faint"}>{task.priority}</span>
  );
}

function Nothing({ state, filtered }: { state: State; filtered: boolean }) {
  if (filtered) return <Empty title="Nothing fits these filters">Take one off, or look into another state.</Empty>;
  const texts: Record<State, [string, string, string?]> = {
    waiting: [
      "Nothing waits",
      "Every task that was enqueued has started.",
      "buraq enqueue email_notification '{\"user_id\": 1}'",
    ],
    running: ["Nothing runs", "Start a worker process, if there is none.", WORKER],
    scheduled: [
      "Nothing is scheduled",
      "Delayed tasks and retries wait here for their time.",
      "buraq enqueue report --delay 10m",
    ],
    dead: ["No dead letters", "Tasks that used up their retries come here."],
    completed: ["Nothing has completed yet", "The newest ones are kept here."],
    failed: ["No attempt has failed", "Attempts that fail and are made again are kept here."],
    cancelled: ["Nothing was cancelled", "What is taken back before it starts is kept here."],
  };
  const [title, text, command] = texts[state];
  return (
    <Empty title={title} {...(command && { command })}>
      {text}
    </Empty>
  );
}
