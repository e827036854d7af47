import "./detail.css";
import { useState } from "react";
import type { Attempt, TaskDetail } from "../api/schema";
import { span } from "../lib/format";
import { href } from "../lib/router";
import { CopyButton } from "../ui/basics";
import { Block, Json } from "../ui/code";
import { type Fact, when } from "../ui/facts";
import { Icon, type IconName } from "../ui/icon";
import { Panel } from "../ui/panel";
import { Ago, Clock } from "../ui/times";

const OUTCOMES: Record<Attempt["outcome"], { tone: string; icon: IconName; word: string }> = {
  running: { tone: "running", icon: "half", word: "running" },
  completed: { tone: "completed", icon: "tick", word: "completed" },
  failed: { tone: "failed", icon: "retry", word: "failed" },
  died: { tone: "dead", icon: "cross", word: "its process died" },
  snoozed: { tone: "scheduled", icon: "clock", word: "put off" },
};

/** All attempts that are kept, the newest first. The newest error is open. */
export function Attempts({ attempts, leftOut }: { attempts: readonly Attempt[]; leftOut: number }) {
  const first = attempts.findIndex((attempt) => attempt.error);
  return (
    <Panel title="Attempts" aside={<span className="faint">{attempts.length + leftOut || ""}</span>}>
      {attempts.length === 0 && <p className="panel-body muted">It has not run yet.</p>}
      <ol>
        {attempts.map((attempt, n) => (
          <AttemptRow
            // biome-ignore lint/suspicious/noArrayIndexKey: counted from the oldest, none changes its place
            key={`${leftOut + attempts.length - n}/${attempt.outcome}`}
            attempt={attempt}
            open={n === first}
          />
        ))}
      </ol>
      {leftOut > 0 && (
        <p className="panel-body muted">
          The last {attempts.length} are kept; {leftOut} older ones are not.
        </p>
      )}
    </Panel>
  );
}

function AttemptRow({ attempt, open }: { attempt: Attempt; open: boolean }) {
  const [shown, setShown] = useState(open);
  const { tone, icon, word } = OUTCOMES[attempt.outcome];
  const worker =
    attempt.outcome === "running" || attempt.outcome === "died"
      ? attempt.worker_id
      : attempt.worker_id.replace(/-\d+$/, "");
  const more = attempt.error !== null;
  return (
    <li className="attempt">
      <div className="attempt-head">
        <span className={`state tone-${tone}`}>
          <Icon name={icon} size={14} />
          Attempt {attempt.number} {word}
        </span>
        <span className="muted numbers">
          {attempt.started_at && <Clock at={attempt.started_at} />}
          {attempt.duration_ms !== null
            ? `, ran ${span(attempt.duration_ms)}`
            : attempt.outcome === "running" && (
                <>
                  , for <Ago at={attempt.started_at} />
                </>
              )}
        </span>
        <a className="link cut attempt-worker" href={href(["workers", worker])} title={attempt.worker_id}>
          <code>{attempt.worker_id}</code>
        </a>
        {more && (
          <button type="button" className="button plain small" aria-expanded={shown} onClick={() => setShown(!shown)}>
            {shown ? "Hide" : "Show"} error
          </button>
        )}
      </div>
      {more && shown && (
        <div className="attempt-error">
          <p>{attempt.error}</p>
          {attempt.traceback && <Block text={attempt.traceback} label="traceback" />}
        </div>
      )}
    </li>
  );
}

export function PayloadPanel({
  payload,
  redacted,
  title = "Payload",
  leftOut = false,
}: {
  payload: unknown;
  redacted: readonly string[];
  title?: string;
  /** Whether the history has no copy of it, because it was too large. */
  leftOut?: boolean;
}) {
  return (
    <Panel
      title={title}
      aside={
        redacted.length > 0 && (
          <span className="chip tone tone-waiting" title={redacted.join(", ")}>
            {redacted.length} hidden
          </span>
        )
      }
    >
      <div className="panel-body">
        {leftOut ? (
          <p className="muted">It has more than 4 KiB, of which the history keeps no copy.</p>
        ) : (
          <Json value={payload} label={title.toLowerCase()} />
        )}
      </div>
    </Panel>
  );
}

type Common = Pick<TaskDetail, "queue" | "priority" | "created_at" | "timeout_ms" | "idempotency_key">;

/** What is known of every task, dead or alive. */
export function common(task: Common): readonly Fact[] {
  return [
    [
      "Queue",
      <a key="queue" className="link" href={href(["queues", task.queue])}>
        {task.queue}
      </a>,
    ],
    ["Priority", task.priority],
    when("Created", task.created_at),
    ["Timeout", task.timeout_ms === null ? "none" : span(task.timeout_ms)],
    task.idempotency_key !== null && [
      "Idempotency key",
      <span key="key" className="copyable always">
        <code>{task.idempotency_key}</code>
        <CopyButton text={task.idempotency_key} label="idempotency key" />
      </span>,
    ],
  ];
}

export interface Step {
  key: string;
  at: string | null;
  text: string;
  tone: string;
  /** What lay between this and the step before. */
  gap?: string;
}

/** What happened, from the top down, with the time that each step took. */
export function Timeline({ steps }: { steps: readonly Step[] }) {
  return (
    <Panel title="Timeline">
      <ol className="panel-body timeline">
        {steps.map((step) => (
          <li key={step.key} className={`tone-${step.tone}`}>
            {step.gap && <span className="timeline-gap">{step.gap}</span>}
            <span className="timeline-text">{step.text}</span>
            <span className="timeline-at numbers">{step.at && <Clock at={step.at} />}</span>
          </li>
        ))}
      </ol>
    </Panel>
  );
}
