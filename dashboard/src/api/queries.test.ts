import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { link } from "../live/source";
import { ask } from "./client";
import { cache } from "./queries";

beforeEach(() => {
  vi.spyOn(link, "doubt").mockResolvedValue();
});

afterEach(() => {
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
