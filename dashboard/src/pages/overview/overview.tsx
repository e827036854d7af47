import "./overview.css";
import { lazy, Suspense } from "react";
import { useStore } from "../../lib/store";
import { overview } from "../../live/source";
import { Bone, Empty } from "../../ui/basics";
import { WORKER } from "../commands";
import { Columns } from "./columns";
import { Strip } from "./strip";

const Charts = lazy(() => import("../../charts/panel").then((part) => ({ default: part.Charts })));
const WorkerMap = lazy(() => import("./map/panel").then((part) => ({ default: part.WorkerMap })));

export function Overview() {
  const now = useStore(overview);
  if (
    now &&
    !now.workers.active &&
    !now.totals.running &&
    !now.totals.waiting &&
    !now.totals.scheduled &&
    !now.totals.dead
  ) {
    return (
      <>
        <Strip />
        <div className="panel">
          <Empty title="Nothing here yet" command="buraq enqueue email_notification '{&quot;user_id&quot;: 1}'">
            No task was enqueued and no worker runs. Start one with <code>{WORKER}</code>, or see everything move with{" "}
            <code>buraq demo</code>.
          </Empty>
        </div>
      </>
    );
  }
  return (
    <>
      <Strip />
      <div className="overview-split">
        <Columns />
        <Suspense fallback={<ChartBones />}>
          <Charts compact />
        </Suspense>
      </div>
      <Suspense fallback={<MapBones />}>
        <WorkerMap />
      </Suspense>
    </>
  );
}

function ChartBones() {
  return (
    <div className="stack">
      <div className="panel panel-body">
        <Bone height={210} />
      </div>
      <div className="panel panel-body">
        <Bone height={210} />
      </div>
    </div>
  );
}

function MapBones() {
  return (
    <div className="panel panel-body">
      <Bone height={300} />
    </div>
  );
}
