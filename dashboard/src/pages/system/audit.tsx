import { usePages } from "../../api/queries";
import { whole } from "../../lib/format";
import { PagesFoot, Unanswered } from "../../ui/asked";
import { Empty } from "../../ui/basics";
import { Scroll } from "../../ui/scroll";
import { Ago, Clock } from "../../ui/times";

export function Audit() {
  const asked = usePages("listAudit", { limit: 100 }, 5000);
  if (!asked.data) return <Unanswered asked={asked} />;
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
      <Scroll>
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
                  <Clock at={one.at} />
                  <div className="faint">
                    <Ago at={one.at} suffix />
                  </div>
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
      </Scroll>
      <PagesFoot asked={asked} />
    </section>
  );
}
