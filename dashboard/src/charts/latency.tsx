import { useCallback, useMemo, useState } from "react";
import type uPlot from "uplot";
import type { Statistics } from "../api/schema";
import { span as written } from "../lib/format";
import { Plot } from "./plot";
import { Readout } from "./readout";
import { axes, stepTime, times } from "./series";

const LINES = [
  ["p50", "p50", "completed"],
  ["p95", "p95", "waiting"],
  ["p99", "p99", "dead"],
] as const;

export function Latency({ stats, span }: { stats: Statistics; span: "run_ms" | "wait_ms" }) {
  const [at, setAt] = useState<number | null>(null);
  const series = stats[span];
  const data = useMemo<uPlot.AlignedData>(() => [times(stats), series.p50, series.p95, series.p99], [stats, series]);
  const build = useCallback((colour: (name: string) => string) => options(colour), []);
  const value = (name: "p50" | "p95" | "p99") => (at === null ? stats.totals[span][name] : (series[name][at] ?? null));
  const said = LINES.map(([name, label]) => `${label} ${show(stats.totals[span][name])}`).join(", ");
  return (
    <div className="chart-body">
      <Readout
        when={at === null ? "log scale" : stepTime(stats, at)}
        values={LINES.map(([name, label, tone]) => ({ label, tone, value: show(value(name)) }))}
      />
      <Plot
        data={data}
        build={build}
        onCursor={setAt}
        label={`${span === "run_ms" ? "Run" : "Wait"} time over the last ${stats.window}: ${said}.`}
      />
    </div>
  );
}

const show = (ms: number | null) => (ms === null ? "–" : written(ms));

function options(colour: (name: string) => string): Omit<uPlot.Options, "width" | "height"> {
  return {
    legend: { show: false },
    padding: [8, 16, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 } },
    scales: { x: { time: true }, y: { distr: 3, range: (_, min, max) => bounds(min, max) } },
    axes: axes(colour, power).map((axis, n) => (n === 1 ? { ...axis, splits: powers } : axis)),
    series: [
      {},
      ...LINES.map(([, , tone]) => ({ stroke: colour(tone), width: 1.5, points: { show: false }, spanGaps: false })),
    ],
  };
}

function powers(_: uPlot, __: number, min: number, max: number): number[] {
  const found: number[] = [];
  for (let value = min; value <= max * 1.001; value *= 10) found.push(value);
  return found;
}

const power = (ms: number): string => (ms < 1000 ? `${Number(ms.toPrecision(1))} ms` : `${Math.round(ms / 1000)} s`);

/** Whole powers of ten around what there is: a scale that breathes with each value cannot be read. */
function bounds(min: number | null, max: number | null): [number, number] {
  const low = 10 ** Math.floor(Math.log10(Math.max(0.1, min ?? 1)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(low * 10, max ?? 100)));
  return [low, high];
}
