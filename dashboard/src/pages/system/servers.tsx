import type { ServerFacts, System } from "../../api/schema";
import { age, bytes, rate, whole } from "../../lib/format";
import { Maybe, Notice } from "../../ui/basics";
import { type Fact, FactsPanel, when } from "../../ui/facts";
import { Panel } from "../../ui/panel";
import { Scroll } from "../../ui/scroll";

export function Servers({ system: { servers, api, history, warnings } }: { system: System }) {
  const [first] = servers;
  return (
    <>
      {warnings.map((warning) => (
        <Notice key={warning.text} tone={warning.level === "danger" ? "dead" : "waiting"}>
          <strong>{warning.text}</strong> <span className="muted">{warning.remedy}</span>
        </Notice>
      ))}
      {servers.length > 1 && <Cluster servers={servers} />}
      <div className="system">
        {servers.length === 1 && first && <FactsPanel title={product(first)} facts={ofServer(first)} />}
        <FactsPanel title="API process" facts={ofApi(api)} />
        <FactsPanel title="History" facts={ofHistory(history)} />
      </div>
    </>
  );
}

const product = (server: ServerFacts): string => (server.product === "valkey" ? "Valkey" : "Redis");

function ofServer(server: ServerFacts): readonly Fact[] {
  return [
    ["Address", <code key="address">{server.address}</code>],
    ["Version", [server.version, server.mode, server.role].filter(Boolean).join(", ") || "–"],
    ["Up", <Up key="up" server={server} />],
    ["Memory", <Memory key="memory" server={server} />],
    ["When full", <WhenFull key="full" server={server} />],
    ["On disk", <OnDisk key="disk" server={server} />],
    ["Replicas", <Maybe key="replicas" value={server.replicas} show={whole} />],
    ["Commands", <Maybe key="rate" value={server.commands_per_s} show={(value) => `${rate(value)} a second`} />],
    ["Connections", <Maybe key="clients" value={server.connected_clients} show={whole} />],
    ["Round trip", `${server.round_trip_ms} ms`],
  ];
}

/** The masters of a cluster, each with what lies on it. */
function Cluster({ servers }: { servers: readonly ServerFacts[] }) {
  return (
    <Panel
      title="Cluster"
      aside={<span className="faint">{whole(servers.length)} masters with shards of the queues</span>}
    >
      <Scroll>
        <table className="table">
          <thead>
            <tr>
              <th>Master</th>
              <th>Version</th>
              <th className="number">Shards</th>
              <th className="number">Replicas</th>
              <th>Memory</th>
              <th>When full</th>
              <th>On disk</th>
              <th className="number">Commands a second</th>
              <th className="number">Connections</th>
              <th className="number">Round trip</th>
              <th className="number">Up</th>
            </tr>
          </thead>
          <tbody>
            {servers.map((server) => (
              <tr key={server.address}>
                <td>
                  <code>{server.address}</code>
                  {server.role !== "master" && <div className="tone-dead toned">{server.role ?? "role unknown"}</div>}
                </td>
                <td>
                  {product(server)} {server.version}
                </td>
                <td className="number">{whole(server.shards)}</td>
                <td className="number">
                  <Maybe value={server.replicas} show={whole} />
                </td>
                <td>
                  <Memory server={server} />
                </td>
                <td>
                  <WhenFull server={server} />
                </td>
                <td>
                  <OnDisk server={server} />
                </td>
                <td className="number">
                  <Maybe value={server.commands_per_s} show={rate} />
                </td>
                <td className="number">
                  <Maybe value={server.connected_clients} show={whole} />
                </td>
                <td className="number">{server.round_trip_ms} ms</td>
                <td className="number">
                  <Up server={server} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Panel>
  );
}

function Up({ server }: { server: ServerFacts }) {
  return <Maybe value={server.uptime_s} show={(seconds) => age(seconds * 1000)} />;
}

function Memory({ server }: { server: ServerFacts }) {
  return (
    <>
      <Maybe value={server.memory_bytes} show={bytes} />
      {server.memory_limit_bytes !== null && ` of ${bytes(server.memory_limit_bytes)}`}
      {server.memory_peak_bytes !== null && <span className="muted">, peak {bytes(server.memory_peak_bytes)}</span>}
    </>
  );
}

function WhenFull({ server: { eviction_policy: policy } }: { server: ServerFacts }) {
  return <span className={policy && policy !== "noeviction" ? "tone-dead toned" : ""}>{policy ?? "–"}</span>;
}

function OnDisk({ server }: { server: ServerFacts }) {
  if (server.aof === null) return "–";
  return server.aof ? "append-only file" : <span className="tone-dead toned">no append-only file</span>;
}

function ofApi(api: System["api"]): readonly Fact[] {
  const packages = Object.entries(api.packages).map(([name, version]) => `${name} ${version}`);
  return [
    ["Buraq", api.version],
    ["Python", api.python],
    ["With", packages.join(", ")],
    ["Host", `${api.hostname}, pid ${api.pid}`],
    when("Started", api.started_at),
    ["Streams", `${whole(api.streams)} of ${whole(api.streams_limit)}`],
  ];
}

function ofHistory(history: System["history"]): readonly Fact[] {
  const sample = `a sample, ${whole(history.per_s)} a second from each worker process`;
  return [
    [
      "Kept",
      history.length === 0 ? "off: HISTORY_LENGTH=0" : `${whole(history.kept)} of ${whole(history.length)} tasks`,
    ],
    when("Back to", history.oldest_at),
    ["Completed", history.sampled ? sample : "all of them"],
    ["Failed", "all of them"],
  ];
}
