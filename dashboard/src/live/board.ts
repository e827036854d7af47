// The three columns of the overview: a sample of the tasks that move, never more than 100, so that it can be watched at
// any speed. How many there are in all is not counted here; that comes from the server.

import type { DeadLetter, Event, TaskSummary } from "../api/schema";

export const HELD = 100;
export const SHOWN = 9; // of a column
export const COLUMNS = ["pending", "processing", "dead"] as const;
export type Column = (typeof COLUMNS)[number];

export interface Card {
  id: string;
  type: string;
  queue: string;
  column: Column;
  /** When it came into its column, unix ms. */
  since: number;
  attempt: number;
  worker: string;
  error: string;
  deadLetter: string;
  /** Since when it is seen there. Not before that was long enough does it move on. */
  shown: number;
  /** What happened to it meanwhile. */
  later: readonly Event[];
  /** Set when it is done: it stays for a moment, to be seen. */
  left: { how: "completed" | "retried"; at: number } | null;
}

export interface Board {
  /** By id, what changed last at the end. */
  cards: ReadonlyMap<string, Card>;
  /** Whether events of these cards may have been missed, so that some would stand where they no longer are. */
  partial: boolean;
}

export const EMPTY: Board = { cards: new Map(), partial: false };

const DWELL_MS = 600; // for how long a card stays where it is at least: faster, no eye can follow
const LEAVING_MS = 900; // for how long a finished card stays
const STEPS = 4; // that a card may be behind; of more, the newest count
const STALE_MS = 3000; // after which a card of a partial board says nothing any more

/** Lets through so many new cards a second as eyes can follow; cards that are on the board always go on. */
export class Admission {
  #room: number;
  #at: number;
  #perSecond: number;
  #burst: number;

  constructor(perSecond = 4, burst = 6, at = 0) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#room = burst;
    this.#at = at;
  }

  admit(at: number): boolean {
    this.#room = Math.min(this.#burst, this.#room + (Math.max(0, at - this.#at) / 1000) * this.#perSecond);
    this.#at = Math.max(at, this.#at);
    if (this.#room < 1) return false;
    this.#room -= 1;
    return true;
  }
}

/** What the lists say is there, when the page opens and after events were missed. */
export function seed(waiting: TaskSummary[], running: TaskSummary[], dead: DeadLetter[]): Board {
  const cards = [
    ...dead.map(deadCard),
    ...waiting.map((task) => taskCard(task, "pending")),
    ...running.map((task) => taskCard(task, "processing")),
  ];
  return {
    cards: new Map(
      cards
        .sort((a, b) => a.since - b.since)
        .slice(-HELD)
        .map((card) => [card.id, card]),
    ),
    partial: false,
  };
}

const FRESH = { worker: "", error: "", deadLetter: "", shown: 0, later: [], left: null };

function taskCard(task: TaskSummary, column: Column): Card {
  const { id, type, queue, attempt } = task;
  const since = Date.parse(task.since ?? task.created_at ?? "") || 0;
  return { ...FRESH, id, type, queue, column, since, attempt, worker: task.worker ?? "", error: task.error ?? "" };
}

function deadCard(letter: DeadLetter): Card {
  return {
    ...FRESH,
    id: letter.task_id ?? letter.id,
    type: letter.type ?? "unreadable",
    queue: letter.queue,
    column: "dead",
    since: Date.parse(letter.died_at),
    attempt: letter.attempt,
    error: letter.error ?? letter.reason,
    deadLetter: letter.id,
  };
}

/** Take in what arrived in one frame. `at` is now, unix ms by the server's clock. */
export function advance(
  board: Board,
  events: readonly Event[],
  at: number,
  admission: Admission,
  missed = false,
): Board {
  const cards = new Map(board.cards);
  for (const event of events) {
    const known = cards.get(event.task_id);
    if (!known && !mayEnter(event, at, admission)) continue;
    if (known && dwells(known, at)) {
      cards.set(known.id, { ...known, later: [...known.later, event].slice(-STEPS) });
      continue;
    }
    cards.delete(event.task_id); // and to the end: it changed last
    cards.set(event.task_id, moved(event, known, at));
  }
  return settled({ cards, partial: board.partial || missed }, at);
}

function mayEnter(event: Event, at: number, admission: Admission): boolean {
  if (event.type === "Completed" || event.type === "Failed" || !event.task_id) return false;
  return admission.admit(at);
}

const dwells = (card: Card, at: number): boolean => at - card.shown < DWELL_MS || card.later.length > 0;

function moved(event: Event, known: Card | undefined, at: number): Card {
  const card: Card = {
    id: event.task_id,
    type: event.task_type ?? known?.type ?? "",
    queue: event.queue ?? known?.queue ?? "",
    column: known?.column ?? "pending",
    since: event.at ? event.at / 1000 : at,
    attempt: event.attempt ?? known?.attempt ?? 1,
    worker: event.worker_id,
    error: event.error ?? known?.error ?? "",
    deadLetter: "",
    shown: at,
    later: [],
    left: null,
  };
  switch (event.type) {
    case "Pending":
      return { ...card, column: "pending" };
    case "Processing":
      return { ...card, column: "processing" };
    case "DLQ":
      return { ...card, column: "dead" };
    case "Completed":
      return { ...card, left: { how: "completed", at } };
    default:
      return { ...card, left: { how: "retried", at } };
  }
}

/** Move on what was behind, take off what is done and, the oldest first, what is too much. The same board when nothing is. */
export function settled(board: Board, at: number): Board {
  const gone = (card: Card) =>
    (card.left && card.later.length === 0 && at - card.left.at > LEAVING_MS) ||
    (board.partial && card.column !== "dead" && at - Math.max(card.since, card.shown) > STALE_MS);
  const behind = (card: Card) => card.later.length > 0 && at - card.shown >= DWELL_MS;
  const all = [...board.cards.values()];
  if (all.length <= HELD && !all.some((card) => gone(card) || behind(card))) return board;
  const stay = all
    .filter((card) => !gone(card))
    .map((card) => {
      const [event, ...later] = card.later;
      return event && behind(card) ? { ...moved(event, card, at), later } : card;
    });
  return { ...board, cards: new Map(stay.slice(-HELD).map((card) => [card.id, card])) };
}

/**
 * Which card sits where in a column of `room` seats. A card keeps its seat until it goes, and one that comes takes the
 * first that is free: what stays does not move.
 */
export function seated(seats: readonly (string | null)[], cards: readonly Card[], room: number): (string | null)[] {
  const here = new Set(cards.map((card) => card.id));
  const kept = Array.from({ length: room }, (_, n) => seats[n] ?? null).map((id) => (id && here.has(id) ? id : null));
  const waiting = cards.filter((card) => !kept.includes(card.id)).map((card) => card.id);
  return kept.map((id) => id ?? waiting.shift() ?? null);
}

/** The cards of a column, the newest first. */
export function column(board: Board, name: Column): Card[] {
  return [...board.cards.values()].filter((card) => card.column === name).sort((a, b) => b.since - a.since);
}
