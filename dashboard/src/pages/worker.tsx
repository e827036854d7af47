import "./detail.css";
import { isGone } from "../api/client";
import { useAsk, usePages } from "../api/queries";
import type { Worker } from "../api/schema";
import { bytes, rate, shortId, span } from "../lib/format";
import { href } from "../lib/router";
import { PagesFoot, Unanswered } from "../ui/asked";
import { Empty, Id, Maybe, Notice } from "../ui/basics";
import { FactsPanel, when } from "../ui/facts";
import { Panel } from "../ui/panel";
import { Ago } from "../ui/times";
import { Slots, WorkerStatus } from "./workers";

export function WorkerPage({ id }: { id: string }) {
  const asked = useAsk("getWorker", { at: { id } }, { every: 2000 });
  const worker = asked.data; // what was known last, when it is gone
  const gone = isGone(asked.error);
  if (!worker && gone) {
    return (
      <div className="panel">
        <Empty title="There is no such worker process">
          <code>{id}</code>
          <br />
          It ended, or was lost some minutes ago: its tasks run elsewhere.
        </Empty>
      </div>
    );
  }
  if (!worker) return <Unanswered asked={asked} />;
  return (
    <>
      <div className="detail-head">
        {gone ? <span className="pulse tone-cancelled">gone</span> : <WorkerStatus status={worker.status} />}
        <Id id={worker.id} whole />
      </div>
      {gone && (
        <Notice>
          This process is gone: it was last seen <Ago at={worker.seen_at} suffix />, and the server has forgotten it.
          What it ran goes to other processes, or waits for one. Below is what was known last.
        </Notice>
      )}
      <div className="columns two-one">
        <InFlight id={worker.id} gone={gone} />
        <Facts worker={worker} />
      </div>
    </>
  );
}

function InFlight({ id, gone }: { id: string; gone: boolean }) {
  const asked = usePages("listTasks", { state: "running", worker: id, limit: 100 }, 2000);
  const items = asked.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Panel title="Running here" label="Tasks that run here">
      {!asked.data ? (
        <Unanswered asked={asked} rows={5} inside />
      ) : items.length === 0 && !asked.hasNextPage ? (
        <Empty title={gone ? "It runs nothing any more" : "It runs nothing"}>
          {gone ? "What it ran goes to other processes, or waits for one." : "Its slots are free."}
        </Empty>
      ) : (
        <div className="scroll-x">
          <table className="table">
            <thead>
              <tr>
                <th>Task type</th>
                <th>Id</th>
                <th>Queue</th>
                <th className="number">Attempt</th>
                <th className="number">Runs for</th>
              </tr>
            </thead>
            <tbody>
              {items.map((task) => (
                <tr key={`${task.queue}/${task.id}`}>
                  <td>{task.type}</td>
                  <td>
                    <a className="link" href={href(["tasks", task.id], { queue: task.queue })} data-row>
                      <code title={task.id}>{shortId(task.id)}</code>
                    </a>
                  </td>
                  <td className="muted">{task.queue}</td>
                  <td className="number">
                    {task.attempt}/{task.max_retries + 1}
                  </td>
                  <td className="number">
                    <Ago at={task.since} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {asked.data && <PagesFoot asked={asked} filtered />}
    </Panel>
  );
}

function Facts({ worker }: { worker: Worker }) {
  const each = (value: number | undefined) => (
    <Maybe value={value ?? null} show={(known) => `${rate(known)} a second`} />
  );
  return (
    <FactsPanel
      facts={[
        ["Slots", <Slots key="slots" worker={worker} />],
        ["CPU", <Maybe key="cpu" value={worker.cpu_percent} show={(value) => `${value} % of a core`} />],
        ["Memory", <Maybe key="memory" value={worker.memory_bytes} show={bytes} />],
        [
          "Hub lag",
          <Maybe key="lag" value={worker.hub_lag_ms} show={(value) => `${span(value)} at most, in the last minute`} />,
        ],
        ["Completed", each(worker.rates?.completed)],
        ["Retried", each(worker.rates?.retried)],
        ["Queues", worker.queues.join(", ")],
        ["Host", `${worker.hostname ?? "–"}${worker.pid === null ? "" : `, pid ${worker.pid}`}`],
        ["Version", worker.version ?? "–"],
        when("Started", worker.started_at),
        when("Last seen", worker.seen_at),
      ]}
    />
  );
}
