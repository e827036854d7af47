import "./system.css";
import { useAsk } from "../../api/queries";
import { setQuery } from "../../lib/router";
import { Unanswered } from "../../ui/asked";
import { Segmented } from "../../ui/basics";
import { Audit } from "./audit";
import { Servers } from "./servers";
import { Settings } from "./settings";

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
  if (!asked.data) return <Unanswered asked={asked} rows={9} />;
  return settings ? <Settings settings={asked.data.settings} /> : <Servers system={asked.data} />;
}
