import "./dead-letters.css";
import { useState } from "react";
import { address } from "../../api/client";
import { useAsk } from "../../api/queries";
import type { DeadLetterFilter, DeadLetterGroup } from "../../api/schema";
import { counted, whole } from "../../lib/format";
import { setQuery } from "../../lib/router";
import { useSession } from "../../session";
import { Unanswered } from "../../ui/asked";
import { Empty, Notice } from "../../ui/basics";
import { Icon } from "../../ui/icon";
import { QueueSelect } from "../queue-select";
import { Groups } from "./groups";
import { Ask, type Intent, type Kind } from "./intent";
import { Letters } from "./letters";

export function DeadLetters({ query }: { query: URLSearchParams }) {
  const queue = query.get("queue") ?? "";
  const group = query.get("group") ?? "";
  const [intent, setIntent] = useState<Intent | null>(null);
  const groups = useAsk("listDeadLetterGroups", { query: queue ? { queue } : {} }, { every: 3000, keep: true });
  if (!groups.data) return <Unanswered asked={groups} rows={10} />;
  const chosen = groups.data.groups.find((one) => one.group === group);
  const filter: DeadLetterFilter = { ...(queue && { queue }), ...(group && { group }) };
  // While those of another queue are shown nothing is offered: the question would have their count.
  const count = groups.isPlaceholderData ? 0 : group ? (chosen?.count ?? 0) : groups.data.total;
  if (groups.data.total === 0 && !group) {
    return (
      <>
        <Bar queue={queue} filter={filter} count={0} onIntent={setIntent} />
        <div className="panel">
          <Empty title="No dead letters">
            Tasks that used up their retries, that were rejected or that cannot be read come here, with the error and
            every attempt. Nothing is dropped silently.
          </Empty>
        </div>
      </>
    );
  }
  return (
    <>
      <Bar queue={queue} filter={filter} count={count} chosen={chosen} onIntent={setIntent} />
      {!group && <Groups groups={groups.data.groups} queue={queue} total={groups.data.total} onIntent={setIntent} />}
      {groups.data.total > groups.data.grouped && !group && (
        <Notice tone="accent">
          {counted(groups.data.total - groups.data.grouped, "dead letter")} from an older version{" "}
          {groups.data.total - groups.data.grouped === 1 ? "is" : "are"} in no group. They are in the list below.
        </Notice>
      )}
      <Letters filter={filter} onIntent={setIntent} />
      {intent && <Ask intent={intent} onClose={() => setIntent(null)} />}
    </>
  );
}

function Bar({
  queue,
  filter,
  count,
  chosen,
  onIntent,
}: {
  queue: string;
  filter: DeadLetterFilter;
  count: number;
  chosen?: DeadLetterGroup | undefined;
  onIntent: (intent: Intent) => void;
}) {
  const session = useSession();
  const act = (kind: Kind) =>
    onIntent({
      kind,
      body: { filter },
      count,
      what: chosen
        ? `${chosen.type ?? "unreadable"}: ${chosen.error ?? chosen.reason}`
        : queue
          ? `of the queue ${queue}`
          : "of all queues",
    });
  return (
    <div className="row wrap letters-bar">
      <QueueSelect queue={queue} onChange={(chosen) => setQuery({ queue: chosen, group: null })} />
      {filter.group && (
        <button
          type="button"
          className="chip chosen"
          onClick={() => setQuery({ group: null })}
          title="Back to all groups"
        >
          <span className="cut">
            {chosen ? `${chosen.type ?? "unreadable"}: ${chosen.error ?? chosen.reason}` : "One group"}
          </span>
          <Icon name="close" size={11} />
        </button>
      )}
      {count > 0 && (
        <div className="row wrap push">
          <a className="button small" href={address("exportDeadLetters", { query: filter }).href} download>
            <Icon name="download" size={14} />
            Export
          </a>
          {session.may_change && (
            <>
              <button type="button" className="button small danger" onClick={() => act("delete")}>
                <Icon name="trash" size={14} />
                Delete all {whole(count)}
              </button>
              <button type="button" className="button small primary" onClick={() => act("replay")}>
                <Icon name="retry" size={14} />
                Retry all {whole(count)}
              </button>
            </>
          )}
        </div>
      )}
    </div>
  );
}
