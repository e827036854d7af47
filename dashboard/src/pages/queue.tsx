import "./queue.css";
import { useAsk } from "../api/queries";
import type { Queue } from "../api/schema";
import { Charts } from "../charts/panel";
import { age, rate, whole } from "../lib/format";
import { href } from "../lib/router";
import { useStore } from "../lib/store";
import { overview } from "../live/source";
import { Unanswered } from "../ui/asked";
import { Meter, Notice } from "../ui/basics";
import { Overwritten } from "../ui/overwritten";
import { Panel } from "../ui/panel";
import { Ago, FirstDue } from "../ui/times";
import { WORKER } from "./commands";
import { drained, PauseButton } from "./queues";

const LINES = [
  ["suspects", "Suspects", "ran in processes that died, twice or more"],
  ["front", "Front", "had started, and was handed back"],
  ["high", "High", ""],
  ["normal", "Normal", ""],
  ["low", "Low", ""],
] as const;

export function QueuePage({ name }: { name: string }) {
  const now = useStore(overview);
  const live = now?.queues.find((queue) => queue.name === name);
  const asked = useAsk("getQueue", { at: { queue: name } }, { enabled: !live });
  const queue = live ?? asked.data;
  if (!queue) return <Unanswered asked={asked} />;
  return (
    <>
      {queue.paused && (
        <Notice>
          Paused <Ago at={queue.paused.at} suffix /> by {queue.paused.by}. What runs goes on and enqueueing goes on;
          nothing new starts.
        </Notice>
      )}
      <Overwritten keys={queue.broken} from="these figures" />
      {!queue.workers && (
        <Notice tone="dead">
          No worker process reads this queue: <code>{`${WORKER} --queues ${name}`}</code>
        </Notice>
      )}
      <div className="columns two-one">
        <Numbers queue={queue} seen={live && now?.at} />
        <Panel title="What waits, by line">
          <dl className="panel-body lines">
            {LINES.map(([line, label, what]) => (
              <div key={line} className="row">
                <dt title={what}>{label}</dt>
                <Meter
                  share={queue.waiting ? queue.waiting_by[line] / queue.waiting : 0}
                  tone={line === "suspects" ? "dead" : "waiting"}
                />
                <dd className="numbers">{whole(queue.waiting_by[line])}</dd>
              </div>
            ))}
          </dl>
        </Panel>
      </div>
      <Charts queue={name} />
    </>
  );
}

function Numbers({ queue, seen }: { queue: Queue; seen: string | undefined }) {
  const to = (state: string) => href(["tasks"], { state, queue: queue.name });
  return (
    <Panel title="Now" right={<PauseButton queue={queue} />}>
      <dl className="panel-body facts figures">
        <dt>Waiting</dt>
        <dd>
          <a className="link" href={to("waiting")}>
            {whole(queue.waiting)}
          </a>
        </dd>
        <dt>Oldest</dt>
        <dd>{queue.oldest_ms === null ? "nothing waits" : age(queue.oldest_ms)}</dd>
        <dt>Running</dt>
        <dd>
          <a className="link" href={to("running")}>
            {whole(queue.running)}
          </a>
        </dd>
        <dt>Scheduled</dt>
        <dd>
          <a className="link" href={to("scheduled")}>
            {whole(queue.scheduled)}
          </a>
          {queue.next_due_at && (
            <span className="muted">
              , the first <FirstDue at={queue.next_due_at} seen={seen} />
            </span>
          )}
        </dd>
        <dt>Dead letters</dt>
        <dd>
          <a className="link" href={href(["dead-letters"], { queue: queue.name })}>
            {whole(queue.dead)}
          </a>
        </dd>
        <dt>Enqueued</dt>
        <dd>{rate(queue.rates.enqueued)} a second</dd>
        <dt>Completed</dt>
        <dd>{rate(queue.rates.completed)} a second</dd>
        <dt>Drained in</dt>
        <dd>{drained(queue)}</dd>
        <dt>Workers</dt>
        <dd>{queue.workers || "none"}</dd>
      </dl>
    </Panel>
  );
}
