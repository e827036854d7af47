import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { heardTime, now } from "./clock";

const NOON = Date.UTC(2026, 10, 28, 12);
const text = (ms: number) => new Date(ms).toISOString();

beforeEach(() => {
  vi.useFakeTimers({ now: NOON });
  heardTime(text(NOON));
});

afterEach(() => vi.useRealTimers());

it("ages count by the server's clock, when that is not this one", () => {
  heardTime(text(NOON + 300_000));
  expect(now()).toBe(NOON + 300_000);

  heardTime(text(NOON - 300_000), NOON - 10_000);
  expect(now()).toBe(NOON - 300_000);
});

it("how long an answer took is not how far the clocks are apart", () => {
  heardTime(text(NOON - 9000), NOON - 10_000);
  expect(now()).toBe(NOON);
});

it("what is no time changes nothing", () => {
  heardTime(text(NOON + 300_000));
  heardTime("");
  expect(now()).toBe(NOON + 300_000);
});
