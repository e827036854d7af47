import { Handle, type Node, type NodeProps, Position } from "@xyflow/react";
import { memo } from "react";
import type { Totals } from "../../../api/schema";
import { age, bytes, rate, short, shortId, span, whole } from "../../../lib/format";
import { href } from "../../../lib/router";
import { Ago, Meter } from "../../../ui/basics";
import { Icon } from "../../../ui/icon";
import { type Group, type Line, sum, total } from "./layout";

type Producers = Node<{ rate: number }, "producers">;
type Lined = Node<{ line: Line }, "queue">;
type Working = Node<{ group: Group }, "worker">;
type Sink = Node<{ sink: "completed" | "scheduled" | "dead"; totals: Totals }, "sink">;
export type MapNode = Producers | Lined | Working | Sink;

function Ends({ left = true, right = true }: { left?: boolean; right?: boolean }) {
  return (
    <>
      {left && <Handle type="target" position={Position.Left} isConnectable={false} />}
      {right && <Handle type="source" position={Position.Right} isConnectable={false} />}
    </>
  );
}

export const ProducersNode = memo(function ProducersNode({ data }: NodeProps<Producers>) {
  return (
    <div className="node">
      <Ends left={false} />
      <span className="node-title">Producers</span>
      <span className="node-big numbers">
        {rate(data.rate)}
        <small>/s</small>
      </span>
      <span className="faint">enqueued</span>
    </div>
  );
});

export const QueueNode = memo(function QueueNode({ data: { line } }: NodeProps<Lined>) {
  const alone = line.queues.length === 1;
  const paused = line.queues.filter((queue) => queue.paused).length;
  const waiting = total(line, (queue) => queue.waiting);
  const oldest = Math.max(...line.queues.map((queue) => queue.oldest_ms ?? -1));
  return (
    <a className={paused ? "node paused" : "node"} href={alone ? href(["queues", line.id]) : href(["queues"])}>
      <Ends />
      <span className="node-title">
        <Icon name={paused && alone ? "pause" : "queues"} size={14} />
        <span className="cut">{alone ? line.id : `${whole(line.queues.length)} other queues`}</span>
        {paused > 0 && <span className="chip tone tone-waiting">{alone ? "paused" : `${paused} paused`}</span>}
      </span>
      <span className="node-big numbers">
        {waiting < 100_000 ? whole(waiting) : short(waiting)} <small>waiting</small>
      </span>
      <span className="node-line faint numbers">
        <span>{whole(total(line, (queue) => queue.running))} running</span>
        <span>{oldest < 0 ? "" : `oldest ${age(oldest)}`}</span>
      </span>
    </a>
  );
});

export const WorkerNode = memo(function WorkerNode({ data: { group } }: NodeProps<Working>) {
  const [first] = group.workers;
  if (!first) return null;
  const alone = group.workers.length === 1;
  const lost = group.workers.every((worker) => worker.status === "lost");
  const slots = sum(group, (worker) => worker.concurrency);
  const busy = sum(group, (worker) => worker.in_flight);
  const cpu = sum(group, (worker) => worker.cpu_percent) / group.workers.length;
  const lag = Math.max(...group.workers.map((worker) => worker.hub_lag_ms ?? 0));
  return (
    <a
      className={lost ? "node lost" : "node"}
      href={alone ? href(["workers", group.id]) : href(["workers"])}
      title={group.id}
    >
      <Ends />
      <span className="node-title">
        <span className={`dot tone-${lost ? "dead" : first.status === "draining" ? "waiting" : "completed"}`} />
        <span className="cut">{alone ? shortId(group.id) : group.id}</span>
        <span className="push faint">
          {lost
            ? "lost"
            : alone
              ? first.status === "draining"
                ? "draining"
                : ""
              : `${group.workers.length} processes`}
        </span>
      </span>
      {lost ? (
        <span className="faint">
          Last seen <Ago at={first.seen_at} suffix />. What it held runs elsewhere.
        </span>
      ) : (
        <>
          <span className="node-gauge numbers">
            <span>slots</span>
            <Meter share={slots ? busy / slots : 0} tone="running" />
            <span>
              {whole(busy)}/{short(slots)}
            </span>
          </span>
          <span className="node-gauge numbers">
            <span>cpu</span>
            <Meter share={cpu / 100} tone={cpu > 85 ? "failed" : "accent"} />
            <span>{Math.round(cpu)} %</span>
          </span>
          <span className="node-line faint numbers">
            <span>{bytes(sum(group, (worker) => worker.memory_bytes))}</span>
            <span className={lag > 100 ? "tone-failed toned" : ""} title="Hub lag: the worst of the last minute">
              worst lag {span(lag)}
            </span>
          </span>
        </>
      )}
    </a>
  );
});

const SINKS = {
  completed: { title: "Completed", tone: "completed", icon: "tick", to: href(["tasks"], { state: "completed" }) },
  scheduled: { title: "Scheduled again", tone: "failed", icon: "clock", to: href(["tasks"], { state: "scheduled" }) },
  dead: { title: "Dead letters", tone: "dead", icon: "cross", to: href(["dead-letters"]) },
} as const;

export const SinkNode = memo(function SinkNode({ data: { sink, totals } }: NodeProps<Sink>) {
  const { title, tone, icon, to } = SINKS[sink];
  const speed = { completed: totals.rates.completed, scheduled: totals.rates.retried, dead: totals.rates.dead }[sink];
  const count = { completed: null, scheduled: totals.scheduled, dead: totals.dead }[sink];
  return (
    <a className="node" href={to}>
      <Ends right={false} />
      <span className={`node-title tone-${tone} toned`}>
        <Icon name={icon} size={14} />
        {title}
      </span>
      <span className="node-big numbers">
        {rate(speed)}
        <small>/s</small>
      </span>
      <span className="faint numbers">
        {count === null ? "returned" : sink === "dead" ? `${whole(count)} kept` : `${whole(count)} due later`}
      </span>
    </a>
  );
});
