import "./system.css";
import { useState } from "react";
import { useAsk, usePages } from "../api/queries";
import type { System as Facts, Setting } from "../api/schema";
import { age, bytes, rate, whole } from "../lib/format";
import { setQuery } from "../lib/router";
import { Ago, BoneRows, Empty, Maybe, Notice, ProblemBox, Segmented } from "../ui/basics";

type Tab = "facts" | "settings" | "audit";

export function System({ query }: { query: URLSearchParams }) {
  const tab: Tab = (["settings", "audit"] as const).find((one) => one === query.get("tab")) ?? "facts";
  return (
    <>
      <div>
        <Segmented<Tab>
          label="Part"
          value={tab}
          onChange={(next) => setQuery({ tab: next === "facts" ? null : next })}
          options={[
            ["facts", "Server"],
            ["settings", "Settings"],
            ["audit", "Who did what"],
          ]}
        />
      </div>
      {tab === "audit" ? <Audit /> : <SystemFacts settings={tab === "settings"} />}
    </>
  );
}

function SystemFacts({ settings }: { settings: boolean }) {
  const asked = useAsk("getSystem", {}, { every: 5000 });
  if (asked.error && !asked.data) return <ProblemBox error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data)
    return (
      <div className="panel">
        <BoneRows rows={9} />
      </div>
    );
  return settings ? <Settings settings={asked.data.settings} /> : <Server facts={asked.data} />;
}

function Server({ facts: { server, api, history, warnings } }: { facts: Facts }) {
  return (
    <>
      {warnings.map((warning) => (
        <Notice key={warning.text} tone={warning.level === "danger" ? "dead" : "waiting"}>
          <strong>{warning.text}</strong> <span className="muted">{warning.remedy}</span>
        </Notice>
      ))}
      <div className="system">
        <section className="panel" aria-label="Server">
          <div className="panel-head">
            <h2>{server.product === "valkey" ? "Valkey" : "Redis"}</h2>
          </div>
          <dl className="panel-body facts">
            <dt>Address</dt>
            <dd>
              <code>{server.address}</code>
            </dd>
            <dt>Version</dt>
            <dd>{[server.version, server.mode, server.role].filter(Boolean).join(", ") || "–"}</dd>
            <dt>Up</dt>
            <dd>
              <Maybe value={server.uptime_s} show={(seconds) => age(seconds * 1000)} />
            </dd>
            <dt>Memory</dt>
            <dd>
              <Maybe value={server.memory_bytes} show={bytes} />
              {server.memory_limit_bytes !== null && ` of ${bytes(server.memory_limit_bytes)}`}
              {server.memory_peak_bytes !== null && (
                <span className="muted">, peak {bytes(server.memory_peak_bytes)}</span>
              )}
            </dd>
            <dt>When full</dt>
            <dd className={server.eviction_policy && server.eviction_policy !== "noeviction" ? "tone-dead toned" : ""}>
              {server.eviction_policy ?? "–"}
            </dd>
            <dt>On disk</dt>
            <dd>
              {server.aof === null ? (
                "–"
              ) : server.aof ? (
                "append-only file"
              ) : (
                <span className="tone-dead toned">no append-only file</span>
              )}
            </dd>
            <dt>Replicas</dt>
            <dd>
              <Maybe value={server.replicas} show={whole} />
            </dd>
            <dt>Commands</dt>
            <dd>
              <Maybe value={server.commands_per_s} show={(value) => `${rate(value)} a second`} />
            </dd>
            <dt>Connections</dt>
            <dd>
              <Maybe value={server.connected_clients} show={whole} />
            </dd>
            <dt>Round trip</dt>
            <dd>{server.round_trip_ms} ms</dd>
          </dl>
        </section>
        <section className="panel" aria-label="API">
          <div className="panel-head">
            <h2>API process</h2>
          </div>
          <dl className="panel-body facts">
            <dt>Buraq</dt>
            <dd>{api.version}</dd>
            <dt>Python</dt>
            <dd>{api.python}</dd>
            <dt>With</dt>
            <dd>
              {Object.entries(api.packages)
                .map(([name, version]) => `${name} ${version}`)
                .join(", ")}
            </dd>
            <dt>Host</dt>
            <dd>
              {api.hostname}, pid {api.pid}
            </dd>
            <dt>Started</dt>
            <dd>
              <Ago at={api.started_at} suffix />
            </dd>
            <dt>Streams</dt>
            <dd>
              {whole(api.streams)} of {whole(api.streams_limit)}
            </dd>
          </dl>
        </section>
        <section className="panel" aria-label="History">
          <div className="panel-head">
            <h2>History</h2>
          </div>
          <dl className="panel-body facts">
            <dt>Kept</dt>
            <dd>
              {history.length === 0
                ? "off: HISTORY_LENGTH=0"
                : `${whole(history.kept)} of ${whole(history.length)} tasks`}
            </dd>
            <dt>Back to</dt>
            <dd>
              <Ago at={history.oldest_at} suffix />
            </dd>
            <dt>Completed</dt>
            <dd>
              {history.sampled ? `a sample, ${whole(history.per_s)} a second from each worker process` : "all of them"}
            </dd>
            <dt>Failed</dt>
            <dd>all of them</dd>
          </dl>
        </section>
      </div>
    </>
  );
}

function Settings({ settings }: { settings: readonly Setting[] }) {
  const [text, setText] = useState("");
  const [which, setWhich] = useState<"all" | "set">("all");
  const words = text.toLowerCase();
  const shown = settings.filter(
    (one) => (which === "all" || one.source === "set") && `${one.variable} ${one.help}`.toLowerCase().includes(words),
  );
  return (
    <section className="panel" aria-label="Settings">
      <div className="panel-head">
        <input
          className="input small"
          type="search"
          placeholder="Filter"
          aria-label="Filter settings"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <Segmented<"all" | "set">
          label="Which"
          value={which}
          onChange={setWhich}
          options={[
            ["all", "All"],
            ["set", "Set here"],
          ]}
        />
      </div>
      <div className="scroll-x">
        <table className="table">
          <thead>
            <tr>
              <th>Variable</th>
              <th>Value</th>
              <th>What it does</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((one) => (
              <tr key={one.variable}>
                <td>
                  <code>{one.variable}</code>
                </td>
                <td className="setting-value">
                  {one.value === null || one.value === "" ? (
                    <span className="faint">none</span>
                  ) : (
                    <code>{one.value}</code>
                  )}
                  {one.source === "set" && <span className="chip tone tone-accent">set</span>}
                </td>
                <td className="muted">{one.help.replaceAll("`", "")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {shown.length === 0 && <Empty title="No setting fits">Take the filter off.</Empty>}
    </section>
  );
}

function Audit() {
  const asked = usePages("listAudit", { limit: 100 }, 5000);
  if (asked.error && !asked.data) return <ProblemBox error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data)
    return (
      <div className="panel">
        <BoneRows />
      </div>
    );
  const items = asked.data.pages.flatMap((page) => page.items);
  if (items.length === 0) {
    return (
      <div className="panel">
        <Empty title="Nobody has done anything">
          Each action through this page or the API is written down here: who, what, when.
        </Empty>
      </div>
    );
  }
  return (
    <section className="panel" aria-label="Who did what">
      <div className="scroll-x">
        <table className="table">
          <thead>
            <tr>
              <th>When</th>
              <th>Who</th>
              <th>From</th>
              <th>What</th>
              <th>Queue</th>
              <th>To what</th>
              <th className="number">How many</th>
            </tr>
          </thead>
          <tbody>
            {items.map((one) => (
              <tr key={one.id}>
                <td>
                  <Ago at={one.at} suffix />
                </td>
                <td>{one.who}</td>
                <td className="muted">{one.address || "–"}</td>
                <td>
                  <strong>{one.action.replaceAll("_", " ")}</strong>
                </td>
                <td className="muted">{one.queue ?? ""}</td>
                <td className="audit-target">
                  <code>{one.target ?? ""}</code>
                  {one.note && <div className="faint">{one.note}</div>}
                </td>
                <td className="number">{one.count === null ? "" : whole(one.count)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {asked.hasNextPage && (
        <div className="panel-body">
          <button type="button" className="button small" onClick={() => void asked.fetchNextPage()}>
            More
          </button>
        </div>
      )}
    </section>
  );
}
