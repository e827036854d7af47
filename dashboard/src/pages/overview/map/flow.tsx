import "@xyflow/react/dist/base.css";
import "./map.css";
import { BaseEdge, type Edge, type EdgeProps, getBezierPath, type NodeTypes, Position, ReactFlow } from "@xyflow/react";
import { memo, useMemo } from "react";
import type { Overview } from "../../../api/schema";
import { type Group, pace, places, WIDTHS, wires } from "./layout";
import { type MapNode, ProducersNode, QueueNode, SinkNode, WorkerNode } from "./nodes";

type MapEdge = Edge<{ pace: number; tone: string }, "wire">;

const PADDING = 14;
const NODES: NodeTypes = { producers: ProducersNode, queue: QueueNode, worker: WorkerNode, sink: SinkNode };
const EDGES = { wire: memo(WireEdge) };

export function Flow({ now, groups }: { now: Overview; groups: Group[] }) {
  const names = now.queues.map((queue) => queue.name).join();
  const ids = groups.map((group) => group.id).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: places change with the names, not with each figure
  const layout = useMemo(() => places(now.queues, groups), [names, ids]);
  const nodes = useMemo(() => nodesOf(now, groups, layout.places), [now, groups, layout]);
  const edges = useMemo(() => edgesOf(now, groups), [now, groups]);
  return (
    <div className="map-scroll">
      <div className="map-flow" style={{ height: layout.height + 2 * PADDING, minWidth: layout.width + 2 * PADDING }}>
        <ReactFlow
          key={`${names}/${ids}`}
          nodes={nodes}
          edges={edges}
          nodeTypes={NODES}
          edgeTypes={EDGES}
          fitView
          fitViewOptions={{ padding: `${PADDING}px`, maxZoom: 1.15 }}
          maxZoom={1.15}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          edgesFocusable={false}
          elementsSelectable={false}
          panOnDrag={false}
          zoomOnScroll={false}
          zoomOnPinch={false}
          zoomOnDoubleClick={false}
          preventScrolling={false}
          proOptions={{ hideAttribution: true }}
        />
      </div>
    </div>
  );
}

function nodesOf(now: Overview, groups: readonly Group[], found: ReturnType<typeof places>["places"]): MapNode[] {
  const at = new Map(found.map((place) => [place.id, { x: place.x, y: place.y }]));
  const position = (id: string) => at.get(id) ?? { x: 0, y: 0 };
  const sides = { sourcePosition: Position.Right, targetPosition: Position.Left };
  return [
    {
      id: "producers",
      type: "producers",
      position: position("producers"),
      data: { rate: now.totals.rates.enqueued },
      width: WIDTHS.producers,
      ...sides,
    },
    ...now.queues.map((queue): MapNode => {
      const id = `queue:${queue.name}`;
      return { id, type: "queue", position: position(id), data: { queue }, width: WIDTHS.queue, ...sides };
    }),
    ...groups.map((group): MapNode => {
      const id = `worker:${group.id}`;
      return { id, type: "worker", position: position(id), data: { group }, width: WIDTHS.worker, ...sides };
    }),
    ...(["completed", "scheduled", "dead"] as const).map((sink): MapNode => {
      const id = `sink:${sink}`;
      return {
        id,
        type: "sink",
        position: position(id),
        data: { sink, totals: now.totals },
        width: WIDTHS.sink,
        ...sides,
      };
    }),
  ];
}

function edgesOf(now: Overview, groups: readonly Group[]): MapEdge[] {
  return wires(now, groups).map((wire) => ({
    id: wire.id,
    type: "wire",
    source: wire.from,
    target: wire.to,
    data: { pace: pace(wire.rate), tone: wire.tone },
  }));
}

/** One animation for a wire, as fast as its rate says: never one for each task. */
function WireEdge({ id, sourceX, sourceY, targetX, targetY, data }: EdgeProps<MapEdge>) {
  const [path] = getBezierPath({
    sourceX,
    sourceY,
    targetX,
    targetY,
    sourcePosition: Position.Right,
    targetPosition: Position.Left,
    curvature: 0.35,
  });
  const speed = data?.pace ?? 0;
  return (
    <>
      <BaseEdge id={id} path={path} className="wire" interactionWidth={0} />
      {speed > 0 && <path d={path} className={`wire-pulse pace-${speed} tone-${data?.tone}`} />}
    </>
  );
}
