import { cleanup, render } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { heardTime } from "../lib/clock";
import { Ago, Clock, Due } from "./times";

const NOON = new Date(2026, 10, 28, 12).getTime();
const text = (ms: number) => new Date(ms).toISOString();
const shown = (element: ReactNode) => render(element).container.textContent;

beforeEach(() => {
  vi.useFakeTimers({ now: NOON });
  heardTime(text(NOON));
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

it("what has been is not shown as to come where the server's clock is a little ahead", () => {
  heardTime(text(NOON + 1500));

  expect(shown(<Ago at={text(NOON + 1500)} suffix />)).toBe("0 s ago");
});

it("what is due is counted down to, and away from", () => {
  const times = [text(NOON + 90_000), text(NOON - 90_000), null];

  expect(times.map((at) => shown(<Due at={at} />))).toEqual(["in 1 m 30 s", "1 m 30 s ago", "–"]);
});

it("a time of another day has the day with it", () => {
  expect([shown(<Clock at={text(NOON)} />), shown(<Clock at={text(NOON - 24 * 3_600_000)} />)]).toEqual([
    "12:00:00",
    "27 Nov 12:00:00",
  ]);
});
