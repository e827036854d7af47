import { QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { cache } from "../api/queries";
import { dismissAll, Toasts } from "../ui/toast";
import { LetterActions } from "./letter-actions";

let answer: (response: Response) => void;

beforeEach(() => {
  location.hash = "#/dead-letters/default:1-0";
  vi.stubGlobal(
    "fetch",
    vi.fn(
      () =>
        new Promise<Response>((resolve) => {
          answer = resolve;
        }),
    ),
  );
});

afterEach(() => {
  act(dismissAll);
  cleanup();
  cache.clear();
  vi.unstubAllGlobals();
});

const page = (there: boolean) => (
  <QueryClientProvider client={cache}>
    {there && <LetterActions id="default:1-0" payload={{ n: 1 }} readable />}
    <Toasts />
  </QueryClientProvider>
);
const answered = async (response: Response) => {
  await vi.waitFor(() => expect(fetch).toHaveBeenCalled());
  await act(async () => answer(response));
};
const TASK = { id: "t", type: "charge", queue: "mail", created: true, known_type: true };

it("whoever retries a dead letter is brought to its task", async () => {
  render(page(true));
  fireEvent.click(screen.getByText("Retry"));
  await answered(Response.json(TASK));

  expect(await screen.findByText("Back in its queue, with all retries")).toBeTruthy();
  expect(location.hash).toBe("#/tasks/t?queue=mail");
});

it("whoever has gone on meanwhile stays where they are, with a link to the task", async () => {
  const { rerender } = render(page(true));
  fireEvent.click(screen.getByText("Retry"));
  rerender(page(false));
  location.hash = "#/workers";
  await answered(Response.json(TASK));

  expect((await screen.findByText("Show")).getAttribute("href")).toBe("#/tasks/t?queue=mail");
  expect(location.hash).toBe("#/workers");
});

it("what is wrong with an edit is said in its dialog, and not once more beside it", async () => {
  render(page(true));
  fireEvent.click(screen.getByText("Edit and retry"));
  fireEvent.click(screen.getByText("Retry with this payload"));
  await answered(Response.json({ error: "payload.n: too much" }, { status: 422 }));

  expect((await screen.findByText("payload.n: too much")).closest("dialog")).not.toBeNull();
  expect(document.querySelectorAll(".toast")).toHaveLength(0);
});

it("why a retry without a dialog failed is said beside the view", async () => {
  render(page(true));
  fireEvent.click(screen.getByText("Retry"));
  await answered(Response.json({ error: "another task owns its key" }, { status: 409 }));

  expect((await screen.findByText("another task owns its key")).closest(".toast")).not.toBeNull();
});
