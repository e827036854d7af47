import "./dead-letters.css";
import { useState } from "react";
import { address } from "../api/client";
import { useAct, useAsk, usePages } from "../api/queries";
import type { DeadLetter, DeadLetterFilter, DeadLetterGroup, Operation } from "../api/schema";
import { counted, shortId, whole } from "../lib/format";
import { href, setQuery } from "../lib/router";
import { useStore } from "../lib/store";
import { overview } from "../live/source";
import { useSession } from "../session";
import { ended } from "../shell/operation-bar";
import { Ago, BoneRows, Empty, Meter, Notice, ProblemBox } from "../ui/basics";
import { Confirm } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { REASONS } from "./reasons";

type Kind = Operation["kind"];

/** What somebody wants to do, and to how many. */
interface Intent {
  kind: Kind;
  body: { ids: string[] } | { filter: DeadLetterFilter };
  count: number;
  what: string;
}

export function DeadLetters({ query }: { query: URLSearchParams }) {
  const queue = query.get("queue") ?? "";
  const group = query.get("group") ?? "";
  const [intent, setIntent] = useState<Intent | null>(null);
  const groups = useAsk("listDeadLetterGroups", { query: queue ? { queue } : {} }, { every: 3000, keep: true });
  if (groups.error && !groups.data) return <ProblemBox error={groups.error} retry={() => void groups.refetch()} />;
  if (!groups.data)
    return (
      <div className="panel">
        <BoneRows rows={10} />
      </div>
    );
  const chosen = groups.data.groups.find((one) => one.group === group);
  const filter: DeadLetterFilter = { ...(queue && { queue }), ...(group && { group }) };
  const count = group ? (chosen?.count ?? 0) : groups.data.total;
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
      {!group && <Groups groups={groups.data.groups} total={groups.data.total} onIntent={setIntent} />}
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
  const now = useStore(overview);
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
      <select
        className="input small"
        aria-label="Queue"
        value={queue}
        onChange={(event) => setQuery({ queue: event.target.value, group: null })}
      >
        <option value="">All queues</option>
        {now?.queues.map((one) => (
          <option key={one.name}>{one.name}</option>
        ))}
      </select>
      {filter.group && (
        <button
          type="button"
          className="chip chosen"
          onClick={() => setQuery({ group: null })}
          title="Back to all groups"
        >
          <span className="cut">
            {chosen ? `${chosen.type ?? "unreadable"}: ${chosen.error ?? chosen.reason}` : "A group that is empty now"}
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

function Groups({
  groups,
  total,
  onIntent,
}: {
  groups: readonly DeadLetterGroup[];
  total: number;
  onIntent: (intent: Intent) => void;
}) {
  const session = useSession();
  const [all, setAll] = useState(false);
  const shown = all ? groups : groups.slice(0, 6);
  return (
    <section className="panel" aria-label="Groups">
      <div className="panel-head">
        <h2>By type and error</h2>
        <span className="faint">{counted(groups.length, "group")}</span>
      </div>
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
              <tr key={one.group} className="goes" onClick={() => setQuery({ group: one.group })}>
                <td className="number">
                  <strong>{whole(one.count)}</strong>
                </td>
                <td className="groups-only-wide">
                  <Meter share={total ? one.count / total : 0} tone="dead" />
                </td>
                <td>
                  <a className="link" href={href(["dead-letters"], { group: one.group })} data-row>
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
                  <Ago at={one.first_died_at} />
                </td>
                <td className="number muted groups-only-wide">
                  <Ago at={one.last_died_at} />
                </td>
                {session.may_change && (
                  <td className="number">
                    <button
                      type="button"
                      className="button small"
                      aria-label={`Retry all ${whole(one.count)} of ${one.type ?? "unreadable"}`}
                      onClick={(event) => {
                        event.stopPropagation();
                        onIntent({
                          kind: "replay",
                          body: { filter: { group: one.group } },
                          count: one.count,
                          what: `${one.type ?? "unreadable"}: ${one.error ?? one.reason}`,
                        });
                      }}
                    >
                      <Icon name="retry" size={14} />
                      Retry
                    </button>
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
    </section>
  );
}

function Letters({ filter, onIntent }: { filter: DeadLetterFilter; onIntent: (intent: Intent) => void }) {
  const session = useSession();
  const asked = usePages("listDeadLetters", filter, 3000);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  if (asked.error && !asked.data) return <ProblemBox error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data)
    return (
      <div className="panel">
        <BoneRows rows={8} />
      </div>
    );
  const items = asked.data.pages.flatMap((page) => page.items);
  const looked = asked.data.pages.reduce((sum, page) => sum + page.scanned, 0);
  const total = asked.data.pages[0]?.total ?? null;
  // What was retried meanwhile, by whomever, is not chosen any more.
  const ids = items.map((item) => item.id).filter((id) => chosen.has(id));
  const everything = items.length > 0 && ids.length === items.length;
  const toggle = (id: string) => {
    const next = new Set(ids);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  const act = (kind: Kind) => {
    onIntent({ kind, body: { ids: ids.slice(0, 1000) }, count: Math.min(1000, ids.length), what: "those chosen" });
    setChosen(new Set());
  };
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
      <div className="panel-foot numbers">
        <span>
          {filter.group
            ? `${whole(items.length)} found in ${whole(looked)}${total === null ? "" : ` of ${whole(total)}`} looked at`
            : `${whole(items.length)}${total === null ? "" : ` of ${whole(Math.max(total, items.length))}`}`}
        </span>
        {asked.hasNextPage && (
          <button
            type="button"
            className="button small"
            disabled={asked.isFetchingNextPage}
            onClick={() => void asked.fetchNextPage()}
          >
            {asked.isFetchingNextPage ? "Looking…" : "More"}
          </button>
        )}
      </div>
    </section>
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
          <Ago at={letter.died_at} />
        </span>
      </a>
    </li>
  );
}

function Ask({ intent, onClose }: { intent: Intent; onClose: () => void }) {
  const { kind, body, count, what } = intent;
  const done = (operation: Operation) => (operation.state === "running" ? null : ended(operation));
  const replay = useAct("replayDeadLetters", done);
  const remove = useAct("deleteDeadLetters", done);
  const act = kind === "replay" ? replay : remove;
  const many = counted(count, "dead letter");
  return (
    <Confirm
      title={kind === "replay" ? `Retry ${many}?` : `Delete ${many} for good?`}
      action={kind === "replay" ? `Retry ${whole(count)}` : `Delete ${whole(count)}`}
      danger={kind === "delete"}
      busy={act.isPending}
      onClose={onClose}
      onConfirm={() => {
        act.mutate({ body });
        onClose();
      }}
    >
      <p className="muted confirm-what">{what}</p>
      {kind === "replay" ? (
        <p>
          They go back to their queues with no retries used. Those that die meanwhile are left alone. You can stop it on
          the way.
        </p>
      ) : (
        <p>
          The tasks and their payloads are gone, and nothing brings them back. Export them first, if they may be needed.
        </p>
      )}
    </Confirm>
  );
}
