import { expect, it } from "vitest";
import type { Operation } from "../api/schema";
import { began, news, told } from "./operation-bar";

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
  expect(told(operation({}))).toBe("4 dead letters retried");
  expect(told(operation({ kind: "delete", done: 1 }))).toBe("1 dead letter deleted");
  expect(told(operation({ done: 1, skipped: { gone: 2, owned: 1, unreadable: 0 } }))).toBe(
    "1 dead letter retried (1 kept: another task owns their idempotency key; 2 were gone already)",
  );
});

it("one that was stopped or broke off says so", () => {
  expect(told(operation({ error: "done without what is in k" }))).toBe(
    "4 dead letters retried (done without what is in k)",
  );
  expect(told(operation({ state: "stopped", done: 250 }))).toBe("250 dead letters retried, then stopped");
  expect(told(operation({ state: "failed", done: 0, error: "Redis went away" }))).toBe(
    "0 dead letters retried. It broke off: Redis went away",
  );
});

it("the end of an operation is said once, though it came before one looked", () => {
  const quick = operation({ id: "quick", state: "running" });
  const slow = operation({ id: "slow", state: "running" });
  const old = operation({ id: "old" });
  const said = (...all: Operation[]) => news(all).map((one) => one.id);

  began(quick);

  expect(said({ ...quick, state: "done" }, slow, old)).toEqual(["quick"]);
  expect(said({ ...quick, state: "done" }, { ...slow, state: "stopped" }, old)).toEqual(["slow"]);
  expect(said({ ...quick, state: "done" }, { ...slow, state: "stopped" }, old)).toEqual([]);
});
