import { QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { cache } from "../../api/queries";
import type { DeadLetterGroup, DeadLetterGroupList, Session } from "../../api/schema";
import { link } from "../../live/source";
import { DeadLetters } from "./dead-letters";

const SMALL: DeadLetterGroup = {
  group: "small",
  queue: "default",
  type: "charge",
  reason: "exhausted",
  error: "ConnectionError: no",
  count: 3,
  first_died_at: "2026-11-28T09:00:00Z",
  last_died_at: "2026-11-28T09:00:00Z",
};

let answer: (query: URLSearchParams) => DeadLetterGroupList;
let sent: [path: string, body: unknown][];

beforeEach(() => {
  vi.useFakeTimers();
  link.state.set({ phase: "live" });
  sent = [];
  vi.stubGlobal(
    "fetch",
    vi.fn(async (url: URL, { method, body }: RequestInit) => {
      if (url.pathname.endsWith("/session")) return Response.json({ may_change: true } as Session);
      if (url.pathname.endsWith("/groups")) return Response.json(answer(url.searchParams));
      if (method === "POST") {
        sent.push([url.pathname, JSON.parse(String(body))]);
        return Response.json({ error: "enough of it" }, { status: 422 });
      }
      return Response.json({ items: [], next: null, scanned: 0, total: 0 });
    }),
  );
});

afterEach(() => {
  cleanup();
  link.state.set({ phase: "connecting", before: false });
  cache.clear();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

async function show(query: string) {
  render(
    <QueryClientProvider client={cache}>
      <DeadLetters query={new URLSearchParams(query)} />
    </QueryClientProvider>,
  );
  await pass(10);
}

it("a group that is asked for by address is there with its count, though others are larger", async () => {
  answer = (query) => ({
    groups: query.get("group") === "small" ? [SMALL] : [],
    grouped: 900,
    total: 900,
    until: "then",
  });

  await show("queue=default&group=small");

  expect(screen.getByText("charge: ConnectionError: no")).toBeTruthy();
  expect(screen.getByText("Retry all 3")).toBeTruthy();
});

it("what is confirmed is about those that were counted when it was asked, whatever dies meanwhile", async () => {
  answer = () => ({ groups: [SMALL], grouped: 3, total: 3, until: "then" });
  await show("");
  fireEvent.click(screen.getByText("Delete all 3"));

  answer = () => ({ groups: [{ ...SMALL, count: 9 }], grouped: 9, total: 9, until: "later" });
  await pass(4000);
  expect(screen.getByText("Delete all 9")).toBeTruthy();
  expect(screen.getByText(/3 were counted when you asked/)).toBeTruthy();
  fireEvent.click(screen.getByText("Delete 3"));
  await pass(10);

  expect(sent).toEqual([["/api/v1/dead-letters/delete", { filter: {}, until: "then" }]]);
});

it("those in no group are said to be in none, and to be part of all", async () => {
  answer = () => ({ groups: [SMALL], grouped: 3, total: 4, until: "then" });

  await show("");

  const notice = screen.getByText(/in no group/).textContent;
  expect(notice).toContain("One dead letter is in no group");
  expect(notice).toContain("Retry all and Delete all take it too");
});

it("what cannot be read can be deleted and not retried, for it cannot run", async () => {
  const unreadable = { ...SMALL, group: "unreadable", type: null, reason: "undecodable" } as const;
  answer = () => ({ groups: [SMALL, unreadable], grouped: 6, total: 6, until: "then" });
  await show("");
  expect(screen.getAllByText("Retry")).toHaveLength(1);

  cleanup();
  await show("queue=default&group=unreadable");
  expect(screen.getByText("Delete all 3")).toBeTruthy();
  expect(screen.queryByText(/Retry all/)).toBeNull();
});
