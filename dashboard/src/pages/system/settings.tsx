import { useState } from "react";
import type { Setting } from "../../api/schema";
import { Empty, Segmented } from "../../ui/basics";
import { Scroll } from "../../ui/scroll";

export function Settings({ settings }: { settings: readonly Setting[] }) {
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
      <Scroll>
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
                <td className="muted setting-help">{one.help.replaceAll("`", "")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {shown.length === 0 && <Empty title="No setting fits">Take the filter off.</Empty>}
    </section>
  );
}
