import "./dead-letters.css";
import { useState } from "react";
import { address } from "../../api/client";
import { useAsk } from "../../api/queries";
import type { DeadLetterFilter, DeadLetterGroup } from "../../api/schema";
import { whole } from "../../lib/format";
import { setQuery } from "../../lib/router";
import { useSession } from "../../session";
import { Unanswered } from "../../ui/asked";
import { Empty, Notice } from "../../ui/basics";
import { Icon } from "../../ui/icon";
import { Overwritten } from "../../ui/overwritten";
import { QueueSelect } from "../queue-select";
import { Groups } from "./groups";
import { Ask, type Counted, type Intent, type Kind } from "./intent";
import { Letters } from "./letters";

export function DeadLetters({ query }: { query: URLSearchParams }) {
  const queue = query.get("queue") ?? "";
  const group = query.get("group") ?? "";
  const [intent, setIntent] = useState<Intent | null>(null);
  const filter: DeadLetterFilter = { ...(queue && { queue }), ...(group && { group }) };
  // With the group, or one that is not among the largest would not be there.
  const groups = useAsk("listDeadLetterGroups", { query: filter }, { every: 3000, keep: true });
  if (!groups.data) return <Unanswered asked={groups} rows={10} />;
  const { total, grouped, until } = groups.data;
  // One in each queue that has some of them.
  const alike = groups.data.groups.filter((one) => one.group === group);
  const found = group ? alike.reduce((sum, one) => sum + one.count, 0) : total;
  // While those of another queue are shown nothing is offered: the question would have their count.
  const count = groups.isPlaceholderData ? 0 : found;
  return (
    <>
      <Bar queue={queue} body={{ filter, until }} count={count} chosen={alike[0]} onIntent={setIntent} />
      <Overwritten keys={groups.data.broken} from="these lists" />
      {total === 0 && !group ? (
        <div className="panel">
          <Empty title="No dead letters">
            Tasks that used up their retries, that were rejected or that cannot be read come here, with the error and
            every attempt. Nothing is dropped silently.
          </Empty>
        </div>
      ) : (
        <>
          {!group && <Groups counted={groups.data} onIntent={setIntent} />}
          {total > grouped && !group && <Ungrouped count={total - grouped} />}
          <Letters filter={filter} onIntent={setIntent} />
        </>
      )}
      {intent && <Ask intent={intent} onClose={() => setIntent(null)} />}
    </>
  );
}

function Ungrouped({ count }: { count: number }) {
  return (
    <Notice tone="accent">
      {count === 1 ? "One dead letter is" : `${whole(count)} dead letters are`} in no group: written by an older
      version, or of a kind beyond the thousand that are counted in a queue. {count === 1 ? "It is" : "They are"} in the
      list below, and <em>Retry all</em> and <em>Delete all</em> take {count === 1 ? "it" : "them"} too.
    </Notice>
  );
}

function Bar({
  queue,
  body,
  count,
  chosen,
  onIntent,
}: {
  queue: string;
  body: Counted;
  count: number;
  chosen?: DeadLetterGroup | undefined;
  onIntent: (intent: Intent) => void;
}) {
  const session = useSession();
  const { filter } = body;
  const kept = queue ? `of the queue ${queue}` : "of all queues";
  const what = chosen && `${chosen.type ?? "unreadable"}: ${chosen.error ?? chosen.reason}`;
  const act = (kind: Kind) => onIntent({ kind, body, count, what: what ? `${what}, ${kept}` : kept });
  return (
    <div className="row wrap letters-bar">
      <QueueSelect queue={queue} onChange={(chosen) => setQuery({ queue: chosen, group: null })} />
      {filter.group && (
        <button
          type="button"
          className="chip chosen"
          onClick={() => setQuery({ group: null })}
          title="Back to the groups"
        >
          <span className="cut">{what ?? "One group"}</span>
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
              {chosen?.type !== null && (
                <button type="button" className="button small primary" onClick={() => act("replay")}>
                  <Icon name="retry" size={14} />
                  Retry all {whole(count)}
                </button>
              )}
            </>
          )}
        </div>
      )}
    </div>
  );
}
