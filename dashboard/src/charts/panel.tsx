import "./charts.css";
import { useState } from "react";
import { useAsk } from "../api/queries";
import { Unanswered } from "../ui/asked";
import { Segmented } from "../ui/basics";
import { Panel } from "../ui/panel";
import { Latency } from "./latency";
import { Throughput } from "./throughput";

type Window = "hour" | "day";

/** Throughput and percentiles of the last hour or day; of one queue, or of all. */
export function Charts({ queue, compact = false }: { queue?: string; compact?: boolean }) {
  const [window, setWindow] = useState<Window>("hour");
  const [span, setSpan] = useState<"run_ms" | "wait_ms">("run_ms");
  const asked = useAsk(
    "getStatistics",
    { query: { window, ...(queue && { queue }) } },
    { every: window === "hour" ? 5000 : 30_000, keep: true },
  );
  const stats = asked.data;
  const past = <span className="faint">in the last {window}</span>;
  const choose = (
    <Segmented<Window>
      label="How far back"
      value={window}
      onChange={setWindow}
      options={[
        ["hour", "1 h"],
        ["day", "24 h"],
      ]}
    />
  );
  return (
    <div className={compact ? "charts" : "charts side-by-side"}>
      <Panel title="Throughput" kind="chart" aside={past} right={choose}>
        {stats ? <Throughput stats={stats} /> : <Unanswered asked={asked} rows={4} height={44} inside />}
      </Panel>
      <Panel
        title="Latency"
        kind="chart"
        aside={past}
        right={
          <Segmented<"run_ms" | "wait_ms">
            label="Which time"
            value={span}
            onChange={setSpan}
            options={[
              ["run_ms", "Run", "How long attempts ran"],
              ["wait_ms", "Wait", "How long tasks waited in their stream"],
            ]}
          />
        }
      >
        {stats ? <Latency stats={stats} span={span} /> : <Unanswered asked={asked} rows={4} height={44} inside />}
      </Panel>
    </div>
  );
}
