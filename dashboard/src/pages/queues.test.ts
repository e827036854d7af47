import { expect, it } from "vitest";
import { drained } from "./queues";

const queue = (waiting: number, enqueued: number, completed: number, paused = false) => ({
  waiting,
  paused: paused ? { at: "2026-11-28T09:00:00Z", by: "ada" } : null,
  rates: { enqueued, completed, retried: 0, dead: 0 },
});

it("how long a queue takes to be worked off is said where it is, and else why not", () => {
  expect(drained(queue(0, 3, 1))).toBe("nothing waits");
  expect(drained(queue(120, 2, 4))).toBe("1 m");
  expect(drained(queue(120, 4, 2))).toBe("grows");
});

it("what stands is not said to grow, and what is paused is said to be", () => {
  expect(drained(queue(120, 2, 2))).toBe("stands");
  expect(drained(queue(120, 2.04, 2))).toBe("stands");
  expect(drained(queue(120, 4, 0, true))).toBe("paused");
});
