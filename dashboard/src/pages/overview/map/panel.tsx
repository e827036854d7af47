import { useAsk } from "../../../api/queries";
import { counted } from "../../../lib/format";
import { useStore } from "../../../lib/store";
import { overview } from "../../../live/source";
import { Bone, Empty, ProblemBox } from "../../../ui/basics";
import { Panel } from "../../../ui/panel";
import { WORKER } from "../../commands";
import { Flow } from "./flow";
import { grouped } from "./layout";

/** Producers → queues → workers → outcomes, with the figures of now. */
export function WorkerMap() {
  const asked = useAsk("listWorkers", {}, { every: 2000 });
  const now = useStore(overview);
  const workers = asked.data?.workers;
  return (
    <Panel
      title="Worker map"
      kind="map"
      aside={
        now &&
        workers && (
          <span className="faint">
            {counted(now.queues.length, "queue")}, {counted(workers.length, "worker process", "worker processes")}
          </span>
        )
      }
    >
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
            <Empty title="No worker runs" command={WORKER}>
              Tasks are kept until one does.
            </Empty>
          )}
          <Flow now={now} groups={grouped(workers)} />
        </>
      )}
    </Panel>
  );
}
