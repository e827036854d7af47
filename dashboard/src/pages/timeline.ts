// A task's life as steps: made from what is known of it, so that gaps in that stay gaps.

import type { Attempt, State } from "../api/schema";
import { span } from "../lib/format";
import type { Step } from "./parts";

interface Life {
  state: State;
  created_at: string | null;
  since: string | null;
  due_at: string | null;
  attempts: readonly Attempt[];
  attempts_left_out: number;
}

const ENDS: Record<Attempt["outcome"], [text: string, tone: string]> = {
  running: ["runs", "running"],
  completed: ["completed", "completed"],
  failed: ["failed", "failed"],
  died: ["ended with its process", "dead"],
  snoozed: ["was put off", "scheduled"],
};

export function steps({ state, created_at, since, due_at, attempts, attempts_left_out }: Life): Step[] {
  const found: Step[] = [];
  let end: number | null = null;
  const add = (step: Omit<Step, "gap">, waited: string) => {
    const at = step.at ? Date.parse(step.at) : null;
    const gap = end !== null && at !== null && at - end >= 1 ? `${span(at - end)} ${waited}` : null;
    found.push({ ...step, ...(gap && { gap }) });
    if (at !== null) end = at;
  };
  if (created_at) add({ key: "created", at: created_at, text: "Enqueued", tone: "accent" }, "");
  if (attempts_left_out)
    add(
      { key: "older", at: null, text: `${attempts_left_out} attempts that are no longer kept`, tone: "cancelled" },
      "",
    );
  for (const [n, attempt] of [...attempts].reverse().entries()) {
    const key = `${n}/${attempt.number}`;
    if (attempt.started_at)
      add(
        { key: `${key}/start`, at: attempt.started_at, text: `Attempt ${attempt.number} started`, tone: "running" },
        "waited",
      );
    if (attempt.outcome === "running") continue;
    const [text, tone] = ENDS[attempt.outcome];
    const ended =
      attempt.started_at && attempt.duration_ms !== null
        ? new Date(Date.parse(attempt.started_at) + attempt.duration_ms).toISOString()
        : null;
    add({ key: `${key}/end`, at: ended, text: `Attempt ${attempt.number} ${text}`, tone }, "run");
  }
  if (state === "scheduled") add({ key: "due", at: due_at, text: "Due", tone: "scheduled" }, "until then");
  else if (state === "waiting" && attempts.length)
    add({ key: "waits", at: since, text: "Waits again", tone: "accent" }, "later");
  else if (state === "dead") add({ key: "dead", at: since, text: "Given up", tone: "dead" }, "later");
  else if (state === "cancelled") add({ key: "cancelled", at: since, text: "Cancelled", tone: "cancelled" }, "later");
  return found;
}
