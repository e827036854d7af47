import { act, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { column, SHOWN } from "../../live/board";
import { link } from "../../live/source";
import { useBoard } from "./use-board";

beforeEach(() => vi.useFakeTimers());

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("without a stream the lists are asked again and again, so no card stands where its task no longer is", async () => {
  let running = [{ id: "a", type: "mail", queue: "default", attempt: 1, since: "2026-11-28T09:00:00Z" }];
  const lists = vi.fn(async (url: URL) => {
    const items = url.searchParams.get("state") === "running" ? running : [];
    return new Response(JSON.stringify({ items }));
  });
  vi.stubGlobal("fetch", lists);
  link.state.set({ phase: "asking" });
  const { result, unmount } = renderHook(() => useBoard());
  const shown = () => result.current && column(result.current, "processing").map((card) => card.id);
  const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

  await pass(200);
  expect(shown()).toEqual(["a"]);
  running = [];
  await pass(3000);
  expect([shown(), lists.mock.calls.length]).toEqual([["a"], 3]);
  await pass(2000);
  expect([shown(), lists.mock.calls.length]).toEqual([[], 6]);

  unmount();
  await pass(60_000);
  expect(lists.mock.calls.length).toBe(6);
});

it("as many cards are asked for as a column has room for, and a hidden tab moves none", async () => {
  const lists = vi.fn(async (_: URL) => new Response('{"items":[]}'));
  vi.stubGlobal("fetch", lists);
  vi.spyOn(document, "hidden", "get").mockReturnValue(true);
  link.state.set({ phase: "asking" });
  const { unmount } = renderHook(() => useBoard());

  await act(() => vi.advanceTimersByTimeAsync(60_000));

  expect(lists.mock.calls.map(([url]) => url.searchParams.get("limit"))).toEqual(Array(3).fill(String(SHOWN)));
  unmount();
});
