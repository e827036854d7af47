import { useState } from "react";
import type { DeadLetterGroup, DeadLetterGroupList } from "../../api/schema";
import { counted, whole } from "../../lib/format";
import { goes, href } from "../../lib/router";
import { useSession } from "../../session";
import { Meter } from "../../ui/basics";
import { Icon } from "../../ui/icon";
import { Panel } from "../../ui/panel";
import { Ago } from "../../ui/times";
import { REASONS } from "../reasons";
import type { Intent } from "./intent";

export function Groups({
  counted: { groups, total, until },
  onIntent,
}: {
  counted: DeadLetterGroupList;
  onIntent: (intent: Intent) => void;
}) {
  const session = useSession();
  const [all, setAll] = useState(false);
  const shown = all ? groups : groups.slice(0, 6);
  // What is alike in two queues has the same id in both: a row is that of its queue alone, in its count and in what it does.
  const to = ({ queue, group }: DeadLetterGroup) => href(["dead-letters"], { queue, group });
  return (
    <Panel
      title="By type and error"
      label="Groups"
      aside={<span className="faint">{counted(groups.length, "group")}</span>}
    >
      <div className="scroll-x">
        <table className="table groups">
          <thead>
            <tr>
              <th className="number">Count</th>
              <th>
                <span className="unseen">Share</span>
              </th>
              <th>Task type</th>
              <th>Error</th>
              <th>Reason</th>
              <th className="number">First</th>
              <th className="number">Last</th>
              {session.may_change && (
                <th>
                  <span className="unseen">Actions</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {shown.map((one) => (
              <tr key={`${one.queue}/${one.group}`} className="goes" onClick={goes(to(one))}>
                <td className="number">
                  <strong>{whole(one.count)}</strong>
                </td>
                <td className="groups-only-wide">
                  <Meter share={total ? one.count / total : 0} tone="dead" />
                </td>
                <td>
                  <a className="link" href={to(one)} data-row>
                    {one.type ?? "unreadable"}
                  </a>
                  <div className="faint">{one.queue}</div>
                </td>
                <td className="groups-error" title={one.error ?? undefined}>
                  <span>{one.error ?? <span className="faint">none</span>}</span>
                </td>
                <td className="groups-only-wide">
                  <span className="chip" title={REASONS[one.reason]}>
                    {one.reason}
                  </span>
                </td>
                <td className="number muted groups-only-wide">
                  <Ago at={one.first_died_at} suffix />
                </td>
                <td className="number muted groups-only-wide">
                  <Ago at={one.last_died_at} suffix />
                </td>
                {session.may_change && (
                  <td className="number">
                    {/* What cannot be read cannot run. */}
                    {one.type !== null && (
                      <button
                        type="button"
                        className="button small"
                        aria-label={`Retry all ${whole(one.count)} of ${one.type} in ${one.queue}`}
                        onClick={() =>
                          onIntent({
                            kind: "replay",
                            body: { filter: { queue: one.queue, group: one.group }, until },
                            count: one.count,
                            what: `${one.type}: ${one.error ?? one.reason}, of the queue ${one.queue}`,
                          })
                        }
                      >
                        <Icon name="retry" size={14} />
                        Retry
                      </button>
                    )}
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {groups.length > 6 && (
        <div className="panel-foot">
          <button type="button" className="button plain small" onClick={() => setAll(!all)}>
            {all ? "Fewer" : `All ${whole(groups.length)} groups`}
          </button>
        </div>
      )}
    </Panel>
  );
}
