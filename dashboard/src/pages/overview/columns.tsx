import { useLayoutEffect, useMemo, useRef } from "react";
import type { Overview } from "../../api/schema";
import { useNow } from "../../lib/clock";
import { age, rate, whole } from "../../lib/format";
import { href } from "../../lib/router";
import { useStore } from "../../lib/store";
import { type Board, type Card, COLUMNS, type Column, column, SHOWN, seated } from "../../live/board";
import { overview } from "../../live/source";
import { Bone } from "../../ui/basics";
import { Icon } from "../../ui/icon";
import { A_SECOND, useBoard } from "./use-board";

const MOVE_MS = 420;
const MOST_MOVES = 45; // more at once is no movement that anybody could follow

const HEADS: Record<
  Column,
  { title: string; tone: string; to: string; none: string; count: (now: Overview) => number }
> = {
  pending: {
    title: "Pending",
    tone: "waiting",
    to: href(["tasks"], { state: "waiting" }),
    none: "Nothing waits",
    count: (now) => now.totals.waiting,
  },
  processing: {
    title: "Processing",
    tone: "running",
    to: href(["tasks"], { state: "running" }),
    none: "Nothing runs",
    count: (now) => now.totals.running,
  },
  dead: {
    title: "Dead letters",
    tone: "dead",
    to: href(["dead-letters"]),
    none: "No dead letters",
    count: (now) => now.totals.dead,
  },
};

/** Tasks on their way. The counts are the server's; the cards are some of them. */
export function Columns() {
  const board = useBoard();
  const now = useStore(overview);
  const box = useRef<HTMLDivElement>(null);
  useMoves(box, board);
  return (
    <section className="panel flow" aria-label="Tasks on their way">
      <div className="flow-columns" ref={box}>
        {COLUMNS.map((name) => (
          <FlowColumn key={name} name={name} board={board} count={now ? HEADS[name].count(now) : null} />
        ))}
      </div>
      <p className="flow-note">
        {now && now.totals.rates.enqueued > A_SECOND
          ? `A sample: at most ${A_SECOND} new cards a second, of ${rate(now.totals.rates.enqueued)} tasks; each stays for half a second at least.`
          : "Some of each, as they move."}
      </p>
    </section>
  );
}

function FlowColumn({ name, board, count }: { name: Column; board: Board | null; count: number | null }) {
  const head = HEADS[name];
  const cards = useSeats(name, board);
  return (
    <div className="flow-column">
      <h2>
        <a href={head.to} className={`tone-${head.tone}`}>
          <span className="dot" aria-hidden="true" />
          {head.title}
          <span className="numbers muted">{count === null ? "" : whole(count)}</span>
        </a>
      </h2>
      <ol>
        {count === 0 && cards?.every((card) => card === null) && <li className="flow-none">{head.none}</li>}
        {cards?.map((card, seat) =>
          card ? (
            <li key={card.id} data-card={card.id} style={{ gridRow: seat + 1 }}>
              <TaskCard card={card} tone={head.tone} />
            </li>
          ) : null,
        )}
        {!cards && ["a", "b", "c", "d"].map((bone) => <Bone key={bone} height={44} />)}
      </ol>
    </div>
  );
}

/** The cards as they sit. Dead letters are a list, the newest on top; in the other two what stays does not move. */
function useSeats(name: Column, board: Board | null): (Card | null)[] | null {
  const seats = useRef<(string | null)[]>([]);
  return useMemo(() => {
    if (!board) return null;
    const cards = column(board, name);
    if (name === "dead") return cards.slice(0, SHOWN);
    seats.current = seated(seats.current, cards, SHOWN);
    return seats.current.map((id) => (id === null ? null : (board.cards.get(id) ?? null)));
  }, [board, name]);
}

export function TaskCard({ card, tone }: { card: Card; tone: string }) {
  const to = card.deadLetter
    ? href(["dead-letters", card.deadLetter])
    : href(["tasks", card.id], { queue: card.queue });
  const left = card.left?.how;
  // It has gone on, and is seen here a moment longer: a count of none above it is no contradiction.
  const behind = !left && card.later.length > 0;
  return (
    <a
      className={`card tone-${left === "completed" ? "completed" : left ? "failed" : tone}${left || behind ? " leaving" : ""}`}
      href={to}
    >
      <span className="card-line">
        <span className="cut card-type">{card.type || "unknown type"}</span>
        {left ? (
          <span className="card-age">
            <Icon name={left === "completed" ? "check" : "retry"} size={13} />
            <span className="unseen">{left}</span>
          </span>
        ) : behind ? (
          <span className="card-age">moving on</span>
        ) : (
          <CardAge since={card.since} />
        )}
      </span>
      <span className="card-line faint">
        {card.column === "dead" ? (
          <span className="cut">{card.error}</span>
        ) : (
          <>
            <code className="cut">{card.id.slice(-8)}</code>
            <span className="cut card-where">
              {card.attempt > 1 && <span className="card-attempt">attempt {card.attempt}</span>}
              {card.column === "processing" ? card.worker : card.queue}
            </span>
          </>
        )}
      </span>
    </a>
  );
}

function CardAge({ since }: { since: number }) {
  return <span className="card-age numbers">{age(useNow() - since)}</span>;
}

/** Lets cards glide from where they were to where they are, within a column and from one to the next. */
function useMoves(box: React.RefObject<HTMLDivElement | null>, board: Board | null): void {
  const places = useRef(new Map<string, DOMRect>());
  useLayoutEffect(() => {
    const before = places.current;
    const after = new Map<string, DOMRect>();
    const still = document.hidden || matchMedia("(prefers-reduced-motion: reduce)").matches;
    const cards = [...(box.current?.querySelectorAll<HTMLElement>("[data-card]") ?? [])];
    for (const card of cards) after.set(card.dataset.card ?? "", card.getBoundingClientRect());
    places.current = after;
    if (still || !board || cards.length > MOST_MOVES) return;
    for (const card of cards)
      glide(card, before.get(card.dataset.card ?? ""), after.get(card.dataset.card ?? ""), before.size > 0);
  }, [board, box]);
}

function glide(card: HTMLElement, from: DOMRect | undefined, to: DOMRect | undefined, began: boolean): void {
  if (!to || !began) return;
  const options = { duration: MOVE_MS, easing: "cubic-bezier(0.2, 0.8, 0.2, 1)" };
  if (!from) {
    card.animate(
      [
        { opacity: 0, transform: "translateY(-8px)" },
        { opacity: 1, transform: "none" },
      ],
      options,
    );
    return;
  }
  const [dx, dy] = [from.left - to.left, from.top - to.top];
  // A page that was scrolled moves all of them at once; that is no move.
  if ((dx === 0 && dy === 0) || Math.abs(dy) > 600) return;
  if (dx !== 0) card.style.zIndex = "2";
  card.animate([{ transform: `translate(${dx}px, ${dy}px)` }, { transform: "none" }], options).onfinish = () => {
    card.style.zIndex = "";
  };
}
