import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { complain, dismiss, dismissAll, say, Toasts } from "./toast";

beforeEach(() => {
  vi.useFakeTimers();
  render(
    <>
      <main id="content" tabIndex={-1} />
      <Toasts />
    </>,
  );
});

afterEach(() => {
  act(dismissAll);
  cleanup();
  vi.useRealTimers();
});

const shown = () => [...document.querySelectorAll(".toast p")].map((one) => one.textContent);
const close = (text: string) =>
  screen.getByText(text).closest(".toast")?.querySelector<HTMLElement>("button") as HTMLElement;

it("what went well goes by itself, what failed stays until it is dismissed", () => {
  act(() => {
    complain(new Error("Redis is away"));
    say("Paused");
  });
  expect(shown()).toEqual(["Redis is away", "Paused"]);

  act(() => vi.advanceTimersByTime(3_600_000));
  expect(shown()).toEqual(["Redis is away"]);

  fireEvent.click(close("Redis is away"));
  expect(shown()).toEqual([]);
});

it("the same failure, again and again, is one notice that says how often", () => {
  act(() => {
    for (let times = 0; times < 3; times++) complain("no answer");
    complain("another");
  });

  expect(shown()).toEqual(["no answer (3 times)", "another"]);
});

it("a success takes no failure's place, and of many failures the oldest go", () => {
  act(() => {
    for (let n = 0; n < 25; n++) complain(`failure ${n}`);
    for (let n = 0; n < 5; n++) say(`success ${n}`);
  });

  expect(shown()).toHaveLength(25);
  expect(shown()[0]).toBe("failure 5");
  act(() => vi.advanceTimersByTime(5000));
  expect(shown()).toHaveLength(20);

  fireEvent.click(screen.getByText("Dismiss all"));
  expect(shown()).toEqual([]);
});

it("a success that is said again is there as long as one that is new", () => {
  act(() => say("Saved"));
  act(() => vi.advanceTimersByTime(4000));
  act(() => say("Saved"));
  act(() => vi.advanceTimersByTime(4000));
  expect(shown()).toEqual(["Saved (2 times)"]);

  act(() => vi.advanceTimersByTime(1000));
  expect(shown()).toEqual([]);
});

it("the focus of who dismisses one goes to the next, and from the last to the view", () => {
  act(() => {
    complain("first");
    complain("second");
  });
  close("second").focus();
  fireEvent.click(close("second"));
  expect(document.activeElement).toBe(close("first"));

  fireEvent.click(close("first"));
  expect(document.activeElement).toBe(document.getElementById("content"));
});

it("a notice that goes by itself takes no focus from where it is", () => {
  act(() => say("Saved"));
  screen.getByRole("main").focus();
  const field = document.body.appendChild(document.createElement("input"));
  field.focus();

  act(() => vi.advanceTimersByTime(5000));

  expect(document.activeElement).toBe(field);
  field.remove();
});

it("the newest is dismissed by key, one at a time", () => {
  act(() => {
    complain("first");
    complain("second");
  });

  act(() => void dismiss());
  expect(shown()).toEqual(["first"]);
  act(() => void dismiss());
  expect([shown(), dismiss()]).toEqual([[], false]);
});
