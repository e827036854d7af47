import { useState } from "react";
import { usePages } from "../../api/queries";
import type { DeadLetter, DeadLetterFilter } from "../../api/schema";
import { shortId, whole } from "../../lib/format";
import { href } from "../../lib/router";
import { useSession } from "../../session";
import { PagesFoot, Unanswered } from "../../ui/asked";
import { Ago, Empty } from "../../ui/basics";
import { REASONS } from "../reasons";
import type { Intent, Kind } from "./intent";

export function Letters({ filter, onIntent }: { filter: DeadLetterFilter; onIntent: (intent: Intent) => void }) {
  const session = useSession();
  const asked = usePages("listDeadLetters", filter, 3000);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  if (!asked.data) return <Unanswered asked={asked} />;
  const items = asked.data.pages.flatMap((page) => page.items);
  // What was retried meanwhile, by whomever, is not chosen any more.
  const ids = items.map((item) => item.id).filter((id) => chosen.has(id));
  const everything = items.length > 0 && ids.length === items.length;
  const toggle = (id: string) => {
    const next = new Set(ids);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  // They stay chosen: whoever says no to the question has not to choose them again.
  const act = (kind: Kind) =>
    onIntent({ kind, body: { ids: ids.slice(0, 1000) }, count: Math.min(1000, ids.length), what: "those chosen" });
  return (
    <section className="panel" aria-label="Dead letters">
      <div className="panel-head">
        {session.may_change && (
          <input
            type="checkbox"
            aria-label="Choose all that are shown"
            checked={everything}
            ref={(box) => {
              if (box) box.indeterminate = ids.length > 0 && !everything;
            }}
            onChange={() => setChosen(everything ? new Set() : new Set(items.map((item) => item.id)))}
          />
        )}
        {ids.length === 0 ? (
          <h2>Newest first</h2>
        ) : (
          <>
            <strong className="numbers">{whole(ids.length)} chosen</strong>
            <div className="right">
              <button type="button" className="button small danger" onClick={() => act("delete")}>
                Delete
              </button>
              <button type="button" className="button small primary" onClick={() => act("replay")}>
                Retry
              </button>
            </div>
          </>
        )}
      </div>
      {items.length > 0 && <Head choosable={session.may_change} />}
      <ul>
        {items.map((item) => (
          <Letter
            key={item.id}
            letter={item}
            chosen={session.may_change ? chosen.has(item.id) : null}
            toggle={() => toggle(item.id)}
          />
        ))}
      </ul>
      {items.length === 0 && !asked.hasNextPage && (
        <Empty title="Nothing of it is left">Somebody retried or deleted it, or retention did.</Empty>
      )}
      <PagesFoot asked={asked} filtered={Boolean(filter.group)} />
    </section>
  );
}

function Head({ choosable }: { choosable: boolean }) {
  return (
    <div className={choosable ? "letter letter-head choosable" : "letter letter-head"} aria-hidden="true">
      <span className="letter-link">
        <span>Task type</span>
        <span>Task</span>
        <span>Error</span>
        <span>Reason</span>
        <span>Queue</span>
        <span className="letter-at">Died</span>
      </span>
    </div>
  );
}

function Letter({ letter, chosen, toggle }: { letter: DeadLetter; chosen: boolean | null; toggle: () => void }) {
  return (
    <li className="letter">
      {chosen !== null && (
        <input
          type="checkbox"
          checked={chosen}
          onChange={toggle}
          aria-label={`Choose ${letter.type ?? "unreadable"} ${letter.task_id ?? letter.id}`}
        />
      )}
      <a className="letter-link" href={href(["dead-letters", letter.id])} data-row>
        <span className="letter-type cut">{letter.type ?? "unreadable"}</span>
        <code className="faint letter-id">{shortId(letter.task_id ?? letter.id)}</code>
        <span className="cut muted letter-error">{letter.error ?? REASONS[letter.reason]}</span>
        <span className="chip letter-reason">{letter.reason}</span>
        <span className="faint letter-queue cut">{letter.queue}</span>
        <span className="numbers muted letter-at">
          <Ago at={letter.died_at} suffix />
        </span>
      </a>
    </li>
  );
}
