import { useId, useState } from "react";
import { Problem } from "../api/client";
import { useAct, useAsk } from "../api/queries";
import { useHere } from "../lib/here";
import { objectProblem } from "../lib/json";
import { href } from "../lib/router";
import { useSelected } from "../lib/store";
import { overview } from "../live/source";
import { ActionDialog } from "../ui/dialog";
import { complain } from "../ui/toast";
import { PayloadField } from "./payload-field";

/** What the body of the request says; the payload goes as it was written, so that no number in it changes. */
export function enqueueBody(fields: {
  type: string;
  queue: string;
  priority: string;
  delay: string;
  payload: string;
}): string {
  const members = [
    ["type", JSON.stringify(fields.type)],
    ["queue", JSON.stringify(fields.queue)],
    ["priority", JSON.stringify(fields.priority)],
    ["payload", fields.payload.trim() || "{}"],
  ];
  const seconds = Number(fields.delay);
  if (seconds > 0) members.push(["delay_ms", String(Math.round(seconds * 1000))]);
  return `{${members.map(([name, value]) => `"${name}":${value}`).join(",")}}`;
}

export function EnqueueDialog({ onClose }: { onClose: () => void }) {
  const [fields, setFields] = useState({ type: "", queue: "default", priority: "normal", delay: "", payload: "{}" });
  const change = (name: keyof typeof fields) => (event: { target: { value: string } }) =>
    setFields((old) => ({ ...old, [name]: event.target.value }));
  const types = useAsk("listTaskTypes");
  const queues = useSelected(overview, (now) => now?.queues);
  const list = useId();
  const here = useHere();
  const act = useAct(
    "enqueueTask",
    ({ id, created, known_type, queue }) => {
      if (here.current) onClose();
      if (!created) return ["It was there before, nothing was added", href(["tasks", id], { queue })];
      return [
        known_type ? "Enqueued" : "Enqueued. No live worker knows its type, so it waits",
        href(["tasks", id], { queue }),
      ];
    },
    // While it is open the dialog says it itself, and does not when what is wrong was mended.
    (error) => here.current || complain(error),
  );
  const problem = objectProblem(fields.payload.trim() || "{}");
  const wrongType = act.error instanceof Problem && act.error.field === "type" ? act.error.message : null;
  const known = types.data?.types.some((one) => one.type === fields.type);
  return (
    <ActionDialog
      title="Enqueue a task"
      action="Enqueue"
      written={fields.type !== "" || fields.payload !== "{}"}
      busy={problem !== null || !fields.type || act.isPending}
      error={wrongType ? null : act.error}
      onClose={onClose}
      onAct={() => act.mutate({ rawBody: enqueueBody(fields) })}
    >
      <label className="field">
        <span>Task type</span>
        <input
          className="input"
          list={list}
          value={fields.type}
          onChange={change("type")}
          autoComplete="off"
          spellCheck={false}
          aria-invalid={wrongType !== null}
        />
        {wrongType && (
          <span className="wrong" role="alert">
            {wrongType}
          </span>
        )}
        {fields.type && types.data && !known && <span className="hint">No live worker process knows this type.</span>}
        <datalist id={list}>
          {types.data?.types.map((one) => (
            <option key={one.type} value={one.type} />
          ))}
        </datalist>
      </label>
      <PayloadField
        text={fields.payload}
        problem={problem}
        rows={7}
        hint="The arguments of the task function, by name."
        onChange={(payload) => setFields((old) => ({ ...old, payload }))}
      />
      <div className="field-row">
        <label className="field">
          <span>Queue</span>
          <select className="input" value={fields.queue} onChange={change("queue")}>
            {(queues ?? [{ name: "default" }]).map((queue) => (
              <option key={queue.name}>{queue.name}</option>
            ))}
          </select>
        </label>
        <label className="field">
          <span>Priority</span>
          <select className="input" value={fields.priority} onChange={change("priority")}>
            <option>high</option>
            <option>normal</option>
            <option>low</option>
          </select>
        </label>
        <label className="field">
          <span>Delay, seconds</span>
          <input
            className="input"
            type="number"
            min="0"
            step="any"
            placeholder="none"
            value={fields.delay}
            onChange={change("delay")}
          />
        </label>
      </div>
    </ActionDialog>
  );
}
