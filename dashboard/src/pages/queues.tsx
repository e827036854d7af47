import { useAct, useAsk } from "../api/queries";
import type { Overview, Queue } from "../api/schema";
import { age, rate, short, whole } from "../lib/format";
import { goes, href } from "../lib/router";
import { useStore } from "../lib/store";
import { overview, TRAIL_MS, trail } from "../live/source";
import { useSession } from "../session";
import { Unanswered } from "../ui/asked";
import { Empty } from "../ui/basics";
import { Icon } from "../ui/icon";
import { Sparkline } from "../ui/sparkline";
import { Ago } from "../ui/times";
import { out } from "./rates";

/** How long until what waits is worked off at this pace, or why that cannot be said. */
export function drained({ waiting, paused, rates }: Pick<Queue, "waiting" | "paused" | "rates">): string {
  if (waiting === 0) return "nothing waits";
  if (paused) return "paused";
  const net = out(rates) - rates.enqueued;
  if (net > 0.01) return age((waiting / net) * 1000);
  return net < -0.05 ? "grows" : "stands"; // less than what the rates beside it show is no growth
}

export function PauseButton({ queue }: { queue: Queue }) {
  const session = useSession();
  const pause = useAct("pauseQueue", ({ name }) => `Queue ${name} is paused: what runs goes on, nothing new starts`);
  const resume = useAct("resumeQueue", ({ name }) => `Queue ${name} goes on`);
  if (!session.may_change) return null;
  const act = queue.paused ? resume : pause;
  return (
    <button
      type="button"
      className="button small"
      disabled={act.isPending}
      aria-label={`${queue.paused ? "Resume" : "Pause"} ${queue.name}`}
      onClick={() => act.mutate({ at: { queue: queue.name } })}
    >
      <Icon name={queue.paused ? "play" : "pause"} size={14} />
      <span className="wide-only">{queue.paused ? "Resume" : "Pause"}</span>
    </button>
  );
}

export function Queues() {
  const now = useStore(overview);
  const past = useStore(trail);
  const asked = useAsk("listQueues", {}, { enabled: !now });
  const queues = now?.queues ?? asked.data?.queues;
  if (!queues) return <Unanswered asked={asked} rows={4} />;
  if (queues.length === 0)
    return (
      <Empty title="No queue yet" command="buraq demo">
        A queue is there with its first task.
      </Empty>
    );
  return (
    <div className="panel scroll-x">
      <table className="table">
        <thead>
          <tr>
            <th>Queue</th>
            <th className="number">Waiting</th>
            <th className="wide-only">
              <span className="unseen">Waiting, the last minute</span>
            </th>
            <th className="number">Oldest</th>
            <th className="number">Running</th>
            <th className="number wide-only">Scheduled</th>
            <th className="number">Dead</th>
            <th className="number wide-only" title="Enqueued">
              In
            </th>
            <th className="number wide-only" title="Completed, or given up as a dead letter">
              Out
            </th>
            <th className="number wide-only">Drained in</th>
            <th className="number wide-only">Workers</th>
            <th>
              <span className="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {queues.map((queue) => (
            <QueueRow key={queue.name} queue={queue} past={past} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function QueueRow({ queue, past }: { queue: Queue; past: readonly Overview[] }) {
  const depth = past.map(({ at, queues }): [number, number] => [
    Date.parse(at),
    queues.find((other) => other.name === queue.name)?.waiting ?? 0,
  ]);
  const to = href(["queues", queue.name]);
  return (
    <tr className="goes" onClick={goes(to)}>
      <td>
        <span className="row">
          <a href={to} data-row className="link">
            <strong>{queue.name}</strong>
          </a>
          {queue.paused && (
            <span className="chip tone tone-waiting" title={`By ${queue.paused.by}`}>
              paused <Ago at={queue.paused.at} />
            </span>
          )}
          {queue.broken && (
            <span className="chip tone tone-dead" title={queue.broken.join(", ")}>
              overwritten
            </span>
          )}
        </span>
      </td>
      <td className="number">{whole(queue.waiting)}</td>
      <td className="wide-only">
        <Sparkline points={depth} span={TRAIL_MS} />
      </td>
      <td className="number">{queue.oldest_ms === null ? <span className="faint">–</span> : age(queue.oldest_ms)}</td>
      <td className="number">{whole(queue.running)}</td>
      <td className="number wide-only">{whole(queue.scheduled)}</td>
      <td className="number">
        {queue.dead ? (
          <a className="tone-dead toned" href={href(["dead-letters"], { queue: queue.name })}>
            {whole(queue.dead)}
          </a>
        ) : (
          "0"
        )}
      </td>
      <td className="number wide-only">{rate(queue.rates.enqueued)}/s</td>
      <td className="number wide-only">{rate(out(queue.rates))}/s</td>
      <td className="number wide-only">
        {queue.waiting === 0 || queue.paused ? <span className="faint">–</span> : drained(queue)}
      </td>
      <td className="number wide-only">
        {queue.workers ? short(queue.workers) : <span className="tone-dead toned">none</span>}
      </td>
      <td className="number">
        <PauseButton queue={queue} />
      </td>
    </tr>
  );
}
