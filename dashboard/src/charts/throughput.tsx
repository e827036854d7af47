import { useCallback, useMemo, useState } from "react";
import uPlot from "uplot";
import type { Statistics } from "../api/schema";
import { short, whole } from "../lib/format";
import { Plot } from "./plot";
import { Readout } from "./readout";
import { axes, full, stepName, stepTime, times } from "./series";

const PARTS = [
  ["completed", "Completed", "bar-completed"],
  ["retried", "Retried", "bar-failed"],
  ["dead", "Dead", "bar-dead"],
] as const;

export function Throughput({ stats }: { stats: Statistics }) {
  const [at, setAt] = useState<number | null>(null);
  const { completed, retried, dead, enqueued } = stats.counts;
  const data = useMemo<uPlot.AlignedData>(() => {
    const two = completed.map((value, step) => value + (retried[step] ?? 0));
    const all = two.map((value, step) => value + (dead[step] ?? 0));
    // Painted over each other: the highest stack first.
    return [times(stats), all, two, completed, full(enqueued)];
  }, [stats, completed, retried, dead, enqueued]);
  const build = useCallback((colour: (name: string) => string) => options(colour), []);
  const last = completed.length - 1;
  const step = at ?? last;
  const sum = stats.totals.counts;
  return (
    <div className="chart-body">
      <Readout
        when={
          at === null ? `a bar ${stepName(stats)}` : `${stepTime(stats, step)}${step === last ? ", not full yet" : ""}`
        }
        values={[
          ...PARTS.map(([name, label, tone]) => ({
            label,
            tone,
            value: whole(at === null ? sum[name] : (stats.counts[name][step] ?? 0)),
          })),
          { label: "Enqueued", tone: "line", value: whole(at === null ? sum.enqueued : (enqueued[step] ?? 0)) },
        ]}
      />
      <Plot
        data={data}
        build={build}
        onCursor={setAt}
        steps
        label={`Tasks over the last ${stats.window}, a bar ${stepName(stats)}: ${whole(sum.completed)} completed, ${whole(sum.retried)} retried, ${whole(sum.dead)} dead, ${whole(sum.enqueued)} enqueued.`}
      />
    </div>
  );
}

function options(colour: (name: string) => string): Omit<uPlot.Options, "width" | "height"> {
  const bars = uPlot.paths.bars?.({ size: [0.78, 24], radius: 0.15, align: 1 });
  const part = (name: string): uPlot.Series => ({
    ...(bars && { paths: bars }),
    fill: colour(name),
    width: 0,
    points: { show: false },
  });
  return {
    legend: { show: false },
    padding: [8, 16, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: true, range: toItsEnd }, y: { range: (_, __, max) => [0, Math.max(4, max * 1.08)] } },
    axes: axes(colour, short),
    series: [
      {},
      part("bar-dead"),
      part("bar-failed"),
      part("bar-completed"),
      {
        stroke: colour("muted"),
        width: 1.25,
        dash: [3, 3],
        points: { show: false },
        ...(uPlot.paths.stepped && { paths: uPlot.paths.stepped({ align: 1 }) }),
      },
    ],
  };
}

/** From the first step to the end of the last one: its bar is to be seen while it fills. */
function toItsEnd({ data: [steps] }: uPlot, first: number, last: number): [number, number] {
  return [first, last + ((steps[1] ?? last) - (steps[0] ?? last))];
}
