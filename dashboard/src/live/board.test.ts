import { describe, expect, it } from "vitest";
import type { DeadLetter, Event, TaskSummary } from "../api/schema";
import { Admission, advance, type Board, column, EMPTY, HELD, seated, seed, settled } from "./board";

const everybody = { admit: () => true } as unknown as Admission;
const nobody = { admit: () => false } as unknown as Admission;

function event(type: Event["type"], id: string, more: Partial<Event> = {}): Event {
  return {
    type,
    task_id: id,
    worker_id: type === "Pending" ? "" : "web-1-7",
    task_type: "mail",
    queue: "default",
    ...more,
  };
}

/** What happened at which moment, with the board settled ten times a second in between, as the page does. */
function play(story: readonly (readonly [at: number, event: Event])[], until: number, board: Board = EMPTY): Board {
  let now = board;
  for (let at = 0; at <= until; at += 100) {
    const events = story.filter(([when]) => when > at - 100 && when <= at).map(([, what]) => what);
    now = events.length ? advance(now, events, at, everybody) : settled(now, at);
  }
  return now;
}

const ids = (board: Board, name: "pending" | "processing" | "dead") => column(board, name).map((card) => card.id);

describe("a card", () => {
  it("goes from pending to processing and off the board", () => {
    const story = [
      [0, event("Pending", "a")],
      [1000, event("Processing", "a")],
      [2000, event("Completed", "a")],
    ] as const;

    expect(ids(play(story, 500), "pending")).toEqual(["a"]);
    expect(ids(play(story, 1500), "processing")).toEqual(["a"]);
    expect(play(story, 2500).cards.get("a")?.left?.how).toBe("completed");
    expect(play(story, 3500).cards.size).toBe(0);
  });

  it("stays where it is long enough to be seen, however fast the task was", () => {
    const story = [
      [0, event("Pending", "a")],
      [1, event("Processing", "a")],
      [2, event("Completed", "a")],
    ] as const;

    expect(ids(play(story, 500), "pending")).toEqual(["a"]);
    expect(ids(play(story, 900), "processing")).toEqual(["a"]);
    expect(play(story, 900).cards.get("a")?.left).toBeNull();
    expect(play(story, 1400).cards.get("a")?.left?.how).toBe("completed");
    expect(play(story, 3000).cards.size).toBe(0);
  });

  it("that fails leaves, and comes back when the task waits again", () => {
    const story = [
      [0, event("Processing", "a")],
      [1000, event("Failed", "a", { error: "Boom: no" })],
      [1500, event("Pending", "a", { attempt: 2 })],
    ] as const;

    expect(play(story, 1200).cards.get("a")?.left?.how).toBe("retried");
    const back = play(story, 2500).cards.get("a");
    expect(back).toMatchObject({ column: "pending", attempt: 2, left: null });
  });

  it("of a task that was given up stays among the dead, with its error", () => {
    const board = play([[0, event("DLQ", "a", { error: "Boom: no" })]], 60_000);

    expect(ids(board, "dead")).toEqual(["a"]);
    expect(board.cards.get("a")?.error).toBe("Boom: no");
  });

  it("is not made for a task that has just ended", () => {
    expect(advance(EMPTY, [event("Completed", "a"), event("Failed", "b")], 0, everybody).cards.size).toBe(0);
  });
});

describe("a board", () => {
  it("holds a hundred tasks, the oldest go first", () => {
    const events = Array.from({ length: 130 }, (_, n) => event("Pending", `t${n}`));

    const board = settled(advance(EMPTY, events, 0, everybody), 0);

    expect(board.cards.size).toBe(HELD);
    expect(board.cards.has("t29")).toBe(false);
    expect(board.cards.has("t30")).toBe(true);
  });

  it("takes no new cards beyond the admission, and moves those that it has", () => {
    const board = play([[0, event("Pending", "a")]], 1000);

    const next = advance(board, [event("Pending", "b"), event("Processing", "a")], 1000, nobody);

    expect([...next.cards.keys()]).toEqual(["a"]);
    expect(ids(next, "processing")).toEqual(["a"]);
  });

  it("forgets cards of which it may have missed the end, and keeps the dead", () => {
    const board = play(
      [
        [0, event("Processing", "a")],
        [0, event("DLQ", "b")],
      ],
      100,
    );

    const missed = advance(board, [], 200, everybody, true);

    expect([...settled(missed, 4000).cards.keys()]).toEqual(["b"]);
    expect([...settled(board, 60_000).cards.keys()]).toEqual(["a", "b"]);
  });

  it("is the same board while nothing changes, so that nothing is drawn", () => {
    const board = play([[0, event("Processing", "a")]], 1000);

    expect(settled(board, 5000)).toBe(board);
  });

  it("begins with what the lists say", () => {
    const task = (id: string, since: string) =>
      ({ id, type: "mail", queue: "default", attempt: 1, since }) as TaskSummary;
    const letter = {
      id: "default:1-0",
      task_id: "c",
      type: "mail",
      queue: "default",
      attempt: 3,
      reason: "rejected",
      died_at: "2026-11-28T09:00:00Z",
    };

    const board = seed(
      [task("a", "2026-11-28T09:00:02Z")],
      [task("b", "2026-11-28T09:00:01Z")],
      [letter as DeadLetter],
    );

    expect([ids(board, "pending"), ids(board, "processing"), ids(board, "dead")]).toEqual([["a"], ["b"], ["c"]]);
    expect(board.cards.get("c")).toMatchObject({ deadLetter: "default:1-0", error: "rejected" });
  });
});

describe("an admission", () => {
  it("lets a burst through and then so many a second", () => {
    const admission = new Admission(4, 6, 0);
    const through = (from: number, to: number) => {
      let count = 0;
      for (let at = from; at < to; at += 5) count += admission.admit(at) ? 1 : 0;
      return count;
    };

    expect(through(0, 1000)).toBe(9);
    expect(through(1000, 2000)).toBe(4);
    expect(through(60_000, 60_005)).toBe(1);
  });
});

describe("seats", () => {
  const cards = (...names: string[]) =>
    column(
      play(
        names.map((name, n) => [n, event("Pending", name, { at: n * 1000 })]),
        100,
      ),
      "pending",
    );

  it("are kept until their card goes; who comes takes the first that is free", () => {
    const first = seated([], cards("a", "b", "c"), 4);
    expect(first).toEqual(["c", "b", "a", null]);

    expect(seated(first, cards("a", "c", "d", "e"), 4)).toEqual(["c", "e", "a", "d"]);
  });

  it("that are all taken leave the others standing", () => {
    expect(seated(["a", "b"], cards("a", "b", "c"), 2)).toEqual(["a", "b"]);
  });
});
