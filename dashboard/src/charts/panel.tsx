import "./charts.css";
import { useState } from "react";
import { useAsk } from "../api/queries";
import { Unanswered } from "../ui/asked";
import { Segmented } from "../ui/basics";
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
      <section className="panel chart" aria-label="Throughput">
        <div className="panel-head">
          <h2>Throughput</h2>
          <div className="right">{choose}</div>
        </div>
        {stats ? <Throughput stats={stats} /> : <Unanswered asked={asked} rows={4} height={44} inside />}
      </section>
      <section className="panel chart" aria-label="Latency">
        <div className="panel-head">
          <h2>Latency</h2>
          <div className="right">
            <Segmented<"run_ms" | "wait_ms">
              label="Which time"
              value={span}
              onChange={setSpan}
              options={[
                ["run_ms", "Run", "How long attempts ran"],
                ["wait_ms", "Wait", "How long tasks waited in their stream"],
              ]}
            />
          </div>
        </div>
        {stats ? <Latency stats={stats} span={span} /> : <Unanswered asked={asked} rows={4} height={44} inside />}
      </section>
    </div>
  );
}
