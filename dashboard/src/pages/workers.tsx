import "./workers.css";
import { useAsk } from "../api/queries";
import type { Worker } from "../api/schema";
import { bytes, rate, short, span, whole } from "../lib/format";
import { goes, href } from "../lib/router";
import { Unanswered } from "../ui/asked";
import { Empty, Maybe, Meter } from "../ui/basics";
import { Overwritten } from "../ui/overwritten";
import { Ago } from "../ui/times";
import { WORKER } from "./commands";

const TONES = { active: "completed", draining: "waiting", lost: "dead" } as const;

export function WorkerStatus({ status }: { status: Worker["status"] }) {
  return <span className={`pulse tone-${TONES[status]}`}>{status}</span>;
}

export function Workers() {
  const asked = useAsk("listWorkers", {}, { every: 2000 });
  if (!asked.data) return <Unanswered asked={asked} rows={5} />;
  const { workers, broken } = asked.data;
  return (
    <>
      <Overwritten keys={broken} from="these figures" />
      {workers.length === 0 ? <Nobody /> : <Table workers={workers} />}
    </>
  );
}

function Nobody() {
  return (
    <div className="panel">
      <Empty title="No worker runs" command={WORKER}>
        Tasks that are enqueued are kept until one does. Which app a worker runs, <code>module:queue</code>, may be in{" "}
        <code>BURAQ_APP</code> instead. A worker process that is lost is shown here for some minutes.
      </Empty>
    </div>
  );
}

function Table({ workers }: { workers: readonly Worker[] }) {
  return (
    <div className="panel scroll-x">
      <table className="table">
        <thead>
          <tr>
            <th>Worker process</th>
            <th>Status</th>
            <th>Slots</th>
            <th>CPU</th>
            <th className="number wide-only">Memory</th>
            <th className="number wide-only" title="The worst of the last minute">
              Hub lag
            </th>
            <th className="number wide-only">Completed</th>
            <th className="number wide-only">Failing</th>
            <th className="wide-only">Queues</th>
            <th className="number wide-only">Up</th>
          </tr>
        </thead>
        <tbody>
          {workers.map((worker) => (
            <WorkerRow key={worker.id} worker={worker} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function WorkerRow({ worker }: { worker: Worker }) {
  const to = href(["workers", worker.id]);
  const lost = worker.status === "lost";
  return (
    <tr className={lost ? "goes worker-lost" : "goes"} onClick={goes(to)}>
      <td>
        <a className="link" href={to} data-row>
          <code>{worker.id}</code>
        </a>
        <div className="faint">
          {worker.hostname}
          {worker.pid !== null && ` · pid ${worker.pid}`}
        </div>
      </td>
      <td>
        <WorkerStatus status={worker.status} />
        {lost && (
          <div className="faint">
            <Ago at={worker.seen_at} suffix />
          </div>
        )}
      </td>
      <td>
        <Slots worker={worker} />
      </td>
      <td>
        {worker.cpu_percent === null ? (
          <span className="faint">–</span>
        ) : (
          <span className="row">
            <Meter share={worker.cpu_percent / 100} tone={worker.cpu_percent > 85 ? "failed" : "accent"} />
            {Math.round(worker.cpu_percent)} %
          </span>
        )}
      </td>
      <td className="number wide-only">
        <Maybe value={worker.memory_bytes} show={bytes} />
      </td>
      <td className={(worker.hub_lag_ms ?? 0) > 100 ? "number tone-failed toned wide-only" : "number wide-only"}>
        <Maybe value={worker.hub_lag_ms} show={span} />
      </td>
      <td className="number wide-only">
        <Maybe value={worker.rates?.completed ?? null} show={(value) => `${rate(value)}/s`} />
      </td>
      <td className="number wide-only">
        <Maybe
          value={worker.rates ? worker.rates.retried + worker.rates.dead : null}
          show={(value) => `${rate(value)}/s`}
        />
      </td>
      <td className="wide-only">
        <span className="row wrap queues-chips">
          {worker.queues.slice(0, 4).map((queue) => (
            <span key={queue} className="chip">
              {queue}
            </span>
          ))}
          {worker.queues.length > 4 && <span className="faint">and {worker.queues.length - 4} more</span>}
        </span>
      </td>
      <td className="number muted wide-only">
        <Ago at={worker.started_at} />
      </td>
    </tr>
  );
}

export function Slots({ worker }: { worker: Worker }) {
  if (worker.in_flight === null || worker.concurrency === null) return <span className="faint">–</span>;
  return (
    <span className="row numbers">
      <Meter share={worker.in_flight / Math.max(1, worker.concurrency)} tone="running" />
      {whole(worker.in_flight)}/{short(worker.concurrency)}
    </span>
  );
}
