import "./live.css";
import { useEffect, useMemo, useRef, useState } from "react";
import type { Event } from "../api/schema";
import { now } from "../lib/clock";
import { clock, moment, rate, shortId, span, whole } from "../lib/format";
import { href, setQuery } from "../lib/router";
import { useSelected, useStore } from "../lib/store";
import { EMPTY_LOG, events, LINES, type Line, type Log, matching, record, weight } from "../live/log";
import { type Arrival, link, listen, overview } from "../live/source";
import { Empty } from "../ui/basics";
import { Icon } from "../ui/icon";
import { Rows } from "../ui/rows";
import { out } from "./rates";

const TYPES = ["Pending", "Processing", "Completed", "Failed", "DLQ"] as const;
const TONES: Record<Event["type"], string> = {
  Pending: "waiting",
  Processing: "running",
  Completed: "completed",
  Failed: "failed",
  DLQ: "dead",
};

export function Live({ query }: { query: URLSearchParams }) {
  const asked = query.get("types")?.split(",") ?? [...TYPES];
  const types = TYPES.filter((type) => asked.includes(type));
  const text = query.get("q") ?? "";
  const [paused, setPaused] = useState(false);
  const { log, held } = useLog(types.join(), paused);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the types are another list each time, and the same ones
  const lines = useMemo(() => matching(log.lines, types, text), [log, types.join(), text]);
  const toggle = (type: (typeof TYPES)[number]) => {
    const next = types.includes(type)
      ? types.filter((one) => one !== type)
      : TYPES.filter((one) => one === type || types.includes(one));
    setQuery({ types: next.length === TYPES.length ? null : next.join(",") || "none" });
  };
  return (
    <section className="panel live-log" aria-label="Events">
      <div className="panel-head live-head">
        <fieldset className="row wrap" aria-label="Types of events">
          {TYPES.map((type) => (
            <button
              key={type}
              type="button"
              className={types.includes(type) ? `chip tone tone-${TONES[type]}` : "chip"}
              aria-pressed={types.includes(type)}
              onClick={() => toggle(type)}
            >
              {type}
            </button>
          ))}
        </fieldset>
        <input
          className="input small"
          type="search"
          placeholder="Filter by id, type, worker, error"
          aria-label="Filter"
          value={text}
          onChange={(event) => setQuery({ q: event.target.value })}
        />
        <div className="right">
          <button
            type="button"
            className={paused ? "button small primary" : "button small"}
            aria-pressed={paused}
            onClick={() => setPaused(!paused)}
          >
            <Icon name={paused ? "play" : "pause"} size={14} />
            {paused ? `Go on${held ? ` (${whole(held)} new)` : ""}` : "Pause"}
          </button>
        </div>
      </div>
      {lines.length > 0 ? (
        <Rows
          items={lines}
          height={30}
          label="Events, the newest first"
          keyOf={(line) => line.key}
          render={(line) => <LogLine line={line} />}
        />
      ) : (
        <Silence filtered={text !== "" || types.length < TYPES.length} />
      )}
      <Foot shown={events(lines)} held={events(log.lines)} />
    </section>
  );
}

/** The log, growing while it is not paused. What comes while it is waits, and is counted; the oldest go. */
function useLog(types: string, paused: boolean): { log: Log; held: number } {
  const [log, setLog] = useState(EMPTY_LOG);
  const [held, setHeld] = useState(0);
  const waiting = useRef<Arrival[]>([]);
  const stopped = useRef(paused);
  stopped.current = paused;
  useEffect(() => {
    if (!types) return;
    return listen(types.split(","), (arrived) => {
      // The stream carries what other views want, too.
      const mine = arrived.filter((one) => "skipped" in one || types.includes(one.type));
      if (!mine.length) return;
      if (stopped.current) {
        waiting.current = [...waiting.current, ...mine].slice(-LINES);
        setHeld((before) => mine.reduce((sum, one) => sum + weight(one), before));
      } else setLog((old) => added(old, mine));
    });
  }, [types]);
  useEffect(() => {
    if (paused) return;
    const arrived = waiting.current;
    waiting.current = [];
    setHeld(0);
    if (arrived.length) setLog((old) => added(old, arrived));
  }, [paused]);
  return { log, held };
}

/** What follows on the log. Before its first event nothing is missing: that a stream began is no gap there. */
function added(log: Log, arrived: Arrival[]): Log {
  const said = log.lines.length ? arrived : arrived.filter((one) => !("skipped" in one) || one.skipped !== null);
  return record(log, said, now());
}

/** 13:04:59, and the milliseconds, which a phone has no room for. */
function Moment({ at }: { at: number }) {
  return (
    <span className="numbers faint" title={moment(at)}>
      {clock(at)}
      <span className="wide-only">.{String(Math.floor(at) % 1000).padStart(3, "0")}</span>
    </span>
  );
}

function LogLine({ line }: { line: Line }) {
  if (!("event" in line)) {
    return (
      <div className="log-line log-gap">
        <Moment at={line.at} />
        <span>
          {line.skipped === null
            ? "Events may be missing here: the stream began anew"
            : `${whole(line.skipped)} events left out: more came than can be shown`}
        </span>
      </div>
    );
  }
  const { event } = line;
  const { queue } = event;
  // What cannot be read has no id; it is among the dead letters.
  const to = event.task_id ? href(["tasks", event.task_id], { queue }) : href(["dead-letters"], { queue });
  return (
    <a className="log-line" href={to} data-row>
      <Moment at={line.at} />
      <span className={`tone-${TONES[event.type]} toned log-type`}>{event.type}</span>
      <span className="cut">{event.task_type ?? ""}</span>
      <code className="cut muted log-id" title={event.task_id}>
        {shortId(event.task_id)}
      </code>
      <span className="cut faint log-queue">{event.queue}</span>
      <span className="numbers muted log-span">{event.duration_ms === undefined ? "" : span(event.duration_ms)}</span>
      <span className="cut muted log-more" title={event.error}>
        {event.error ?? <code className="faint">{event.worker_id}</code>}
      </span>
    </a>
  );
}

function Silence({ filtered }: { filtered: boolean }) {
  const { phase } = useStore(link.state);
  if (phase === "asking")
    return (
      <Empty title="No stream">
        No event stream comes: the API has no room for one more, or something on the way holds it back. The other views
        ask instead.
      </Empty>
    );
  if (phase === "resting") return <Empty title="Stopped">Press p to follow again.</Empty>;
  return (
    <Empty
      title="Nothing happens"
      {...(!filtered && { command: "buraq enqueue email_notification '{\"user_id\": 1}'" })}
    >
      {filtered
        ? "No event since this page was opened fits these filters."
        : "No task has changed since this page was opened."}
    </Empty>
  );
}

function Foot({ shown, held }: { shown: number; held: number }) {
  const rates = useSelected(overview, (all) => all?.totals.rates);
  return (
    <div className="panel-foot numbers">
      <span>
        {shown === held ? `${whole(held)} events` : `${whole(shown)} of ${whole(held)} events`}, the newest{" "}
        {whole(LINES)} since this page was opened
      </span>
      {rates && (
        <span>
          {rate(rates.enqueued)} in, {rate(out(rates))} out, a second
        </span>
      )}
    </div>
  );
}
