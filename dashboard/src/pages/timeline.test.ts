import { expect, it } from "vitest";
import type { Attempt } from "../api/schema";
import { steps } from "./timeline";

function attempt(number: number, outcome: Attempt["outcome"], second: number, ms: number | null): Attempt {
  return {
    number,
    outcome,
    started_at: `2026-11-28T09:00:${String(second).padStart(2, "0")}.000Z`,
    duration_ms: ms,
    worker_id: "web-1-3",
    error: null,
    traceback: null,
  };
}

const LIFE = { created_at: "2026-11-28T09:00:00.000Z", since: null, due_at: null, attempts_left_out: 0 };
const told = (life: Parameters<typeof steps>[0]) =>
  steps(life).map((step) => (step.gap ? `${step.gap}: ${step.text}` : step.text));

it("a retried task is told from the top down, with what lay between", () => {
  const life = {
    ...LIFE,
    state: "completed" as const,
    attempts: [attempt(2, "completed", 5, 250), attempt(1, "failed", 1, 500)],
  };

  expect(told(life)).toEqual([
    "Enqueued",
    "1 s waited: Attempt 1 started",
    "500 ms run: Attempt 1 failed",
    "3.5 s waited: Attempt 2 started",
    "250 ms run: Attempt 2 completed",
  ]);
});

it("what runs has no end yet, and what is due has a time to come", () => {
  expect(told({ ...LIFE, state: "running", attempts: [attempt(1, "running", 1, null)] }).at(-1)).toBe(
    "1 s waited: Attempt 1 started",
  );
  const due = {
    ...LIFE,
    state: "scheduled" as const,
    due_at: "2026-11-28T09:00:09.500Z",
    attempts: [attempt(1, "failed", 1, 500)],
  };
  expect(told(due).at(-1)).toBe("8 s until then: Due");
});

it("a death, and attempts that are no longer kept, are said", () => {
  const life = {
    ...LIFE,
    state: "dead" as const,
    since: "2026-11-28T09:00:04.000Z",
    attempts_left_out: 3,
    attempts: [attempt(4, "died", 2, 1000)],
  };

  expect(told(life)).toEqual([
    "Enqueued",
    "3 attempts that are no longer kept",
    "2 s waited: Attempt 4 started",
    "1 s run: Attempt 4 ended with its process",
    "1 s later: Given up",
  ]);
});

it("what is not known leaves no hole: times that are missing are left out", () => {
  const life = {
    ...LIFE,
    created_at: null,
    state: "dead" as const,
    attempts: [{ ...attempt(1, "failed", 1, 5), started_at: null }],
  };

  expect(told(life)).toEqual(["Attempt 1 failed", "Given up"]);
});

it("that it was enqueued does not look like a failure", () => {
  const life = { ...LIFE, state: "dead" as const, attempts: [attempt(1, "failed", 1, 5)] };
  const tones = new Map(steps(life).map((step) => [step.text, step.tone]));

  expect(tones.get("Enqueued")).toBe("accent");
  expect(tones.get("Attempt 1 failed")).toBe("failed");
});
