import "@xyflow/react/dist/base.css";
import "./map.css";
import {
  BaseEdge,
  Controls,
  type Dimensions,
  type Edge,
  type EdgeProps,
  getBezierPath,
  type NodeChange,
  type NodeTypes,
  Position,
  ReactFlow,
  type ReactFlowInstance,
} from "@xyflow/react";
import { type FocusEvent, memo, useMemo, useRef, useState } from "react";
import type { Overview } from "../../../api/schema";
import { type Group, type Line, lined, pace, places, WIDTHS, wires } from "./layout";
import { type MapNode, ProducersNode, QueueNode, SinkNode, WorkerNode } from "./nodes";

type MapEdge = Edge<{ pace: number; tone: string }, "wire">;

const PADDING = 14;
const FIT = { padding: `${PADDING}px`, maxZoom: 1.15 } as const;
// A finger scrolls the page and its browser zooms it; neither is to be caught by the map.
const FINE = matchMedia("(pointer: fine)").matches;
const NODES: NodeTypes = { producers: ProducersNode, queue: QueueNode, worker: WorkerNode, sink: SinkNode };
const EDGES = { wire: memo(WireEdge) };

export function Flow({ now, groups }: { now: Overview; groups: Group[] }) {
  const flow = useRef<ReactFlowInstance<MapNode, MapEdge>>(null);
  const lines = useMemo(() => lined(now.queues), [now.queues]);
  const names = lines.map((line) => line.id).join();
  const ids = groups.map((group) => group.id).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: places change with the names, not with each figure
  const layout = useMemo(() => places(lines, groups), [names, ids]);
  const { sizes, measure } = useSizes();
  const nodes = useMemo(
    () => nodesOf(now, lines, groups, layout.places).map((node) => ({ ...node, ...sizes.get(node.id) })),
    [now, lines, groups, layout, sizes],
  );
  const edges = useMemo(() => edgesOf(now, lines, groups), [now, lines, groups]);
  // What a key has reached is brought into sight, wherever the map was moved to.
  const reveal = ({ currentTarget, target }: FocusEvent) => {
    const seen = holds(currentTarget.getBoundingClientRect(), target.getBoundingClientRect());
    if (!seen && target.matches(":focus-visible")) void flow.current?.fitView(FIT);
  };
  return (
    <div className="map-scroll">
      <div className="map-flow" style={{ height: layout.height + 2 * PADDING, minWidth: layout.width + 2 * PADDING }}>
        <ReactFlow
          key={`${names}/${ids}`}
          nodes={nodes}
          edges={edges}
          nodeTypes={NODES}
          edgeTypes={EDGES}
          onInit={(made) => {
            flow.current = made;
          }}
          onNodesChange={measure}
          onFocus={reveal}
          fitView
          fitViewOptions={FIT}
          minZoom={0.3}
          maxZoom={2}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          edgesFocusable={false}
          elementsSelectable={false}
          panOnDrag={FINE}
          zoomOnScroll={false}
          zoomOnPinch={FINE}
          zoomOnDoubleClick={false}
          preventScrolling={false}
          // No key is the map's: Space would no longer scroll the page.
          panActivationKeyCode={null}
          selectionKeyCode={null}
          multiSelectionKeyCode={null}
          zoomActivationKeyCode={null}
          deleteKeyCode={null}
          proOptions={{ hideAttribution: true }}
        >
          {FINE && <Controls showInteractive={false} fitViewOptions={FIT} aria-label="The map's controls" />}
        </ReactFlow>
      </div>
    </div>
  );
}

/** How large each node was drawn. One that does not say so is new to React Flow: it would lose its wires for a moment. */
function useSizes() {
  const [sizes, setSizes] = useState<ReadonlyMap<string, { measured: Dimensions }>>(new Map());
  const measure = (changes: NodeChange<MapNode>[]) => {
    const drawn = changes.flatMap((one) =>
      one.type === "dimensions" && one.dimensions ? [[one.id, { measured: one.dimensions }] as const] : [],
    );
    if (drawn.length) setSizes((before) => new Map([...before, ...drawn]));
  };
  return { sizes, measure };
}

const holds = (box: DOMRect, part: DOMRect): boolean =>
  part.left >= box.left && part.right <= box.right && part.top >= box.top && part.bottom <= box.bottom;

function nodesOf(
  now: Overview,
  lines: readonly Line[],
  groups: readonly Group[],
  found: ReturnType<typeof places>["places"],
): MapNode[] {
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
    ...lines.map((line): MapNode => {
      const id = `queue:${line.id}`;
      return { id, type: "queue", position: position(id), data: { line }, width: WIDTHS.queue, ...sides };
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

function edgesOf(now: Overview, lines: readonly Line[], groups: readonly Group[]): MapEdge[] {
  return wires(now, lines, groups).map((wire) => ({
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
