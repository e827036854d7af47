import type { ReactNode } from "react";
import type { Overview } from "../../api/schema";
import { age, percent, rate, short, whole } from "../../lib/format";
import { href } from "../../lib/router";
import { useStore } from "../../lib/store";
import { overview } from "../../live/source";
import { Ago, Bone } from "../../ui/basics";

interface Cell {
  label: string;
  value: string;
  exact: string;
  below: ReactNode;
  to: string;
  tone?: string;
}

/** The figures of this second, each a way to what it counts. */
export function Strip() {
  const now = useStore(overview);
  if (!now) return <StripBones />;
  return (
    <ul className="panel strip">
      {cells(now).map((cell) => (
        <li key={cell.label}>
          <a href={cell.to} title={cell.exact}>
            <span className="strip-label">{cell.label}</span>
            <span className={cell.tone ? `strip-value tone-${cell.tone}` : "strip-value"}>{cell.value}</span>
            <span className="strip-below">{cell.below}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

function cells({ queues, totals, workers }: Overview): Cell[] {
  const { rates } = totals;
  const oldest = Math.max(-1, ...queues.map((queue) => queue.oldest_ms ?? -1));
  const due =
    queues
      .map((queue) => queue.next_due_at ?? "")
      .filter(Boolean)
      .sort()[0] ?? null;
  const ended = rates.completed + rates.retried + rates.dead;
  const failing = ended > 0 ? (rates.retried + rates.dead) / ended : 0;
  const paused = queues.filter((queue) => queue.paused).length;
  const unmanned = workers.active === 0;
  return [
    {
      label: "Waiting",
      ...figure(totals.waiting),
      below: paused
        ? `${paused} of ${queues.length} queues paused`
        : oldest < 0
          ? "nothing waits"
          : `oldest ${age(oldest)}`,
      to: href(["tasks"], { state: "waiting" }),
      ...(oldest > 120_000 && { tone: "waiting" }),
    },
    {
      label: "Running",
      ...figure(totals.running),
      below: `of ${short(workers.slots)} slots`,
      to: href(["tasks"], { state: "running" }),
    },
    {
      label: "Scheduled",
      ...figure(totals.scheduled),
      below: due ? (
        <>
          first <Ago at={due} suffix />
        </>
      ) : (
        "nothing is due"
      ),
      to: href(["tasks"], { state: "scheduled" }),
    },
    {
      label: "Dead letters",
      ...figure(totals.dead),
      below: rates.dead > 0 ? `${rate(rates.dead)}/s more` : totals.dead ? "no new ones" : "all is well",
      to: href(["dead-letters"]),
      ...(totals.dead > 0 && { tone: "dead" }),
    },
    { label: "Enqueued", ...perSecond(rates.enqueued), below: "tasks a second", to: href(["queues"]) },
    {
      label: "Completed",
      ...perSecond(rates.completed),
      below: "tasks a second",
      to: href(["tasks"], { state: "completed" }),
    },
    {
      label: "Failing",
      value: percent(failing),
      exact: `${rate(rates.retried + rates.dead)} failed attempts a second`,
      below: `${rate(rates.retried + rates.dead)}/s, of all attempts`,
      to: href(["tasks"], { state: "failed" }),
      ...(failing > 0.25 && { tone: "failed" }),
    },
    {
      label: "Workers",
      ...figure(workers.active),
      below: unmanned
        ? "none runs: tasks wait"
        : workers.lost
          ? `${workers.lost} lost`
          : workers.draining
            ? `${workers.draining} draining`
            : "all alive",
      to: href(["workers"]),
      ...((unmanned || workers.lost > 0) && { tone: "dead" }),
    },
  ];
}

const figure = (count: number) => ({ value: count < 100_000 ? whole(count) : short(count), exact: whole(count) });
const perSecond = (value: number) => ({ value: rate(value), exact: `${value} a second` });

function StripBones() {
  return (
    <ul className="panel strip" aria-hidden="true">
      {["a", "b", "c", "d", "e", "f", "g", "h"].map((name) => (
        <li key={name}>
          <span className="strip-bones">
            <Bone width={60} />
            <Bone width={76} height={22} />
            <Bone width={90} />
          </span>
        </li>
      ))}
    </ul>
  );
}
