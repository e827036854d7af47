import { describe, expect, it } from "vitest";
import type { Overview, Queue, Worker } from "../../../api/schema";
import { grouped, LINES, lined, OTHERS, pace, places, ROOM, wires } from "./layout";

const queue = (name: string): Queue => ({
  name,
  paused: null,
  waiting: 0,
  waiting_by: { suspects: 0, front: 0, high: 0, normal: 0, low: 0 },
  running: 0,
  scheduled: 0,
  next_due_at: null,
  dead: 0,
  oldest_ms: null,
  rates: { enqueued: 5, completed: 4, retried: 0, dead: 0 },
  workers: 1,
});

const worker = (id: string, more: Partial<Worker> = {}): Worker => ({
  id,
  status: "active",
  hostname: "host-1",
  pid: 1,
  version: "1",
  started_at: null,
  seen_at: "2026-11-28T09:00:00Z",
  queues: ["default"],
  concurrency: 10,
  in_flight: 1,
  cpu_percent: 1,
  memory_bytes: 1,
  hub_lag_ms: 1,
  rates: { completed: 3, retried: 0, dead: 0 },
  ...more,
});

function overview(queues: Queue[]): Overview {
  const totals = {
    waiting: 0,
    running: 0,
    scheduled: 0,
    dead: 0,
    rates: { enqueued: 5, completed: 4, retried: 0, dead: 0 },
  };
  return {
    at: "",
    rate_window_s: 10,
    queues,
    totals,
    workers: { active: 1, draining: 0, lost: 0, slots: 10, in_flight: 1 },
  };
}

describe("worker processes", () => {
  it("are shown one by one while there is room", () => {
    expect(grouped([worker("b"), worker("a")]).map((group) => group.id)).toEqual(["a", "b"]);
  });

  it("beyond that each host is one, and a lost one stands alone", () => {
    const many = Array.from({ length: ROOM + 3 }, (_, n) => worker(`w${n}`, { hostname: n % 2 ? "odd" : "even" }));

    const groups = grouped([...many, worker("gone", { status: "lost", hostname: "odd" })]);

    expect(groups.map((group) => [group.id, group.workers.length])).toEqual([
      ["gone", 1],
      ["even", 6],
      ["odd", 6],
    ]);
  });
});

describe("queues", () => {
  const named = (count: number) => Array.from({ length: count }, (_, n) => queue(`q${String(n).padStart(2, "0")}`));

  it("are shown one by one while there is room", () => {
    expect(lined(named(LINES)).map((line) => [line.id, line.queues.length])).toEqual(
      named(LINES).map(({ name }) => [name, 1]),
    );
  });

  it("beyond that the last node stands for all others, with what goes through them", () => {
    const queues = named(LINES + 3);
    const lines = lined(queues);

    expect([lines.length, lines.at(-1)?.id, lines.at(-1)?.queues.length]).toEqual([LINES, OTHERS, 4]);
    const found = new Map(
      wires(overview(queues), lines, grouped([worker("a", { queues: ["q00", "q14"] })])).map((wire) => [
        wire.id,
        wire.rate,
      ]),
    );
    expect(found.get(`in:${OTHERS}`)).toBe(20);
    expect([found.get(`${OTHERS}>a`), found.has("q01>a")]).toEqual([3, false]);
  });
});

describe("wires", () => {
  const at = (now: Overview, groups = grouped([worker("a")])) =>
    new Map(wires(now, lined(now.queues), groups).map((wire) => [wire.id, wire.rate]));

  it("join each queue to the workers that read it, and no others", () => {
    const found = at(overview([queue("default"), queue("mail")]));

    expect(found.has("default>a")).toBe(true);
    expect(found.has("mail>a")).toBe(false);
  });

  it("carry the server's own rates in and out", () => {
    const found = at(overview([queue("default")]));

    expect(found.get("in:default")).toBe(5);
    expect(found.get("a>completed")).toBe(3);
    expect(found.get("a>dead")).toBe(0);
  });

  it("of a paused queue and of a lost worker are still", () => {
    const paused = { ...queue("default"), paused: { at: "2026-11-28T09:00:00Z", by: "API key" } };
    expect(at(overview([paused])).get("default>a")).toBe(0);

    const lost = at(overview([queue("default")]), grouped([worker("a", { status: "lost" })]));
    expect(lost.has("default>a")).toBe(false);
    expect(lost.get("a>completed")).toBe(0);
  });
});

it("no two nodes of a column touch, and the columns are centred", () => {
  const { places: found, height } = places(
    lined([queue("default"), queue("mail")]),
    grouped([worker("a"), worker("b"), worker("c")]),
  );
  const column = found.filter((place) => place.id.startsWith("worker:")).map((place) => place.y);

  expect(new Set(found.map((place) => place.id)).size).toBe(found.length);
  expect(column[0]).toBe(0);
  expect((column[1] ?? 0) - (column[0] ?? 0)).toBeGreaterThan(116);
  expect(found.find((place) => place.id === "producers")?.y).toBe((height - 74) / 2);
});

it("a wire pulses by its rate, and is still without one", () => {
  expect([0, 0.01, 0.5, 5, 40, 400, 40_000].map(pace)).toEqual([0, 0, 1, 2, 3, 4, 5]);
});
