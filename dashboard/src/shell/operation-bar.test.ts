import { expect, it } from "vitest";
import type { Operation } from "../api/schema";
import { ended } from "./operation-bar";

const operation = (more: Partial<Operation>): Operation => ({
  id: "1",
  kind: "replay",
  state: "done",
  filter: {},
  total: 4,
  seen: 4,
  done: 4,
  skipped: { gone: 0, owned: 0, unreadable: 0 },
  by: "API key",
  started_at: "",
  updated_at: "",
  ended_at: "",
  error: null,
  ...more,
});

it("an operation that ended says what it did and what it left", () => {
  expect(ended(operation({}))).toBe("4 dead letters retried");
  expect(ended(operation({ kind: "delete", done: 1 }))).toBe("1 dead letter deleted");
  expect(ended(operation({ done: 1, skipped: { gone: 2, owned: 1, unreadable: 0 } }))).toBe(
    "1 dead letter retried (1 kept: another task owns their idempotency key; 2 were gone already)",
  );
});

it("one that was stopped or broke off says so", () => {
  expect(ended(operation({ state: "stopped", done: 250 }))).toBe("250 dead letters retried, then stopped");
  expect(ended(operation({ state: "failed", done: 0, error: "Redis went away" }))).toBe(
    "0 dead letters retried. It broke off: Redis went away",
  );
});
