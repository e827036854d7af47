import { useAsk } from "../../../api/queries";
import { counted } from "../../../lib/format";
import { useStore } from "../../../lib/store";
import { overview } from "../../../live/source";
import { Bone, Empty, ProblemBox } from "../../../ui/basics";
import { Flow } from "./flow";
import { grouped } from "./layout";

/** Producers → queues → workers → outcomes, with the figures of now. */
export function WorkerMap() {
  const asked = useAsk("listWorkers", {}, { every: 2000 });
  const now = useStore(overview);
  const workers = asked.data?.workers;
  return (
    <section className="panel map" aria-label="Worker map">
      <div className="panel-head">
        <h2>Worker map</h2>
        {now && workers && (
          <span className="faint">
            {counted(now.queues.length, "queue")}, {counted(workers.length, "worker process", "worker processes")}
          </span>
        )}
      </div>
      {asked.error && !workers ? (
        <div className="panel-body">
          <ProblemBox error={asked.error} retry={() => void asked.refetch()} />
        </div>
      ) : !now || !workers ? (
        <div className="panel-body">
          <Bone height={300} />
        </div>
      ) : (
        <>
          {workers.length === 0 && (
            <Empty title="No worker runs" command="buraq worker">
              Tasks are kept until one does.
            </Empty>
          )}
          <Flow now={now} groups={grouped(workers)} />
        </>
      )}
    </section>
  );
}
