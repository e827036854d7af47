import { QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, renderHook } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { link } from "../live/source";
import { ask } from "./client";
import { cache, useAsk, usePages } from "./queries";

beforeEach(() => {
  vi.spyOn(link, "doubt").mockResolvedValue();
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  link.state.set({ phase: "connecting", before: false });
  cache.clear();
  vi.unstubAllGlobals();
});

it.each([
  [401, 1],
  [403, 1],
  [503, 1],
  [404, 0],
  [422, 0],
])("an answer of %d has it looked %d times whether anything can be read", async (status, doubts) => {
  vi.stubGlobal(
    "fetch",
    vi.fn(async () => new Response('{"error":"no"}', { status })),
  );

  await expect(cache.fetchQuery({ queryKey: ["x"], queryFn: () => ask("listWorkers") })).rejects.toMatchObject({
    status,
  });

  expect(link.doubt).toHaveBeenCalledTimes(doubts);
});

const wrapper = ({ children }: { children: ReactNode }) => (
  <QueryClientProvider client={cache}>{children}</QueryClientProvider>
);
const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));
const refused = (said: string) => new Response(JSON.stringify({ error: said }), { status: 422 });

it("what has failed is said to have failed while it is asked again, until there is an answer or another question", async () => {
  vi.useFakeTimers();
  link.state.set({ phase: "live" });
  let answer = () => refused("no");
  const fetch = vi.fn(async () => answer());
  vi.stubGlobal("fetch", fetch);
  const said: (string | undefined)[] = [];
  const { result, rerender } = renderHook(
    ({ id }) => {
      const asked = useAsk("getWorker", { at: { id } }, { every: 2000 });
      said.push(asked.error?.message);
      return asked;
    },
    { wrapper, initialProps: { id: "a" } },
  );
  await pass(10);
  said.length = 0;

  await pass(7000);
  expect(fetch.mock.calls.length).toBeGreaterThan(3);
  expect([...new Set(said)]).toEqual(["no"]);

  rerender({ id: "b" });
  expect(result.current.error).toBeNull();
  await pass(10);
  expect(result.current.error?.message).toBe("no");

  answer = () => Response.json({ id: "b" });
  await pass(2000);
  expect([result.current.error, result.current.data?.id]).toEqual([null, "b"]);
});

it("why the next page did not come is known until it does, though the first one is asked again meanwhile", async () => {
  vi.useFakeTimers();
  link.state.set({ phase: "live" });
  let next = () => refused("cursor=2: too old");
  const asked = vi.fn(async (url: URL) =>
    url.searchParams.has("cursor") ? next() : Response.json({ items: ["a"], next: "2" }),
  );
  vi.stubGlobal("fetch", asked);
  const { result } = renderHook(() => usePages("listTasks", { state: "waiting" }, 2000), { wrapper });
  await pass(10);
  expect([result.current.hasNextPage, result.current.stuck]).toEqual([true, null]);

  void result.current.fetchNextPage();
  await pass(10);
  const before = asked.mock.calls.length;
  await pass(7000);
  expect(asked.mock.calls.length).toBeGreaterThan(before + 2);
  expect(result.current.stuck?.message).toBe("cursor=2: too old");

  next = () => Response.json({ items: ["b"], next: null });
  void result.current.fetchNextPage();
  await pass(10);
  expect([result.current.data?.pages.length, result.current.stuck]).toEqual([2, null]);
});
