import { expect, it } from "vitest";
import type { Event } from "../api/schema";
import { EMPTY_LOG, events, LINES, matching, record, weight } from "./log";

const event = (id: string, more: Partial<Event> = {}): Event => ({
  type: "Pending",
  task_id: id,
  worker_id: "",
  at: 5_000_000,
  ...more,
});

it("the newest line is the first, and says where events are missing", () => {
  const log = record(record(EMPTY_LOG, [event("a"), event("b")], 1), [{ skipped: 40 }, event("c")], 2);

  expect(log.lines.map((line) => ("event" in line ? line.event.task_id : line.skipped))).toEqual(["c", 40, "b", "a"]);
  expect(log.lines[0]?.at).toBe(5000);
  expect(new Set(log.lines.map((line) => line.key)).size).toBe(4);
});

it("holds a thousand lines, however many come at once", () => {
  const many = Array.from({ length: 5000 }, (_, n) => event(String(n)));

  const log = record(record(EMPTY_LOG, many, 1), many, 2);

  expect(log.lines).toHaveLength(LINES);
  expect(log.lines[0]).toMatchObject({ event: { task_id: "4999" } });
});

it("lines are found by their type and any word of what they say; gaps stay, and are no events", () => {
  const log = record(
    EMPTY_LOG,
    [event("a", { task_type: "mail" }), event("b", { type: "DLQ", error: "Boom: Refused" }), { skipped: 1 }],
    1,
  );

  const found = (text: string, types: readonly Event["type"][] = ["Pending", "DLQ"]) =>
    matching(log.lines, types, text).map((line) => ("event" in line ? line.event.task_id : "gap"));

  expect(found("dlq refused")).toEqual(["gap", "b"]);
  expect(found("mail dlq")).toEqual(["gap"]);
  expect(found("")).toEqual(["gap", "b", "a"]);
  expect(found("", ["Pending"])).toEqual(["gap", "a"]);
  expect(events(log.lines)).toBe(2);
});

it("what was left out weighs as much as it was, and a gap of which nobody knows nothing", () => {
  expect([event("a"), { skipped: 40 }, { skipped: null }].map(weight)).toEqual([1, 40, 0]);
});
