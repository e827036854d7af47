import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, it } from "vitest";
import type { Event } from "../../api/schema";
import type { Card } from "../../live/board";
import { TaskCard } from "./columns";

const CARD: Card = {
  id: "charge-1",
  type: "charge",
  queue: "default",
  column: "pending",
  since: 0,
  attempt: 1,
  worker: "",
  error: "",
  deadLetter: "",
  shown: 0,
  later: [],
  left: null,
};
const STARTED: Event = { type: "Processing", task_id: "charge-1", worker_id: "web-1-7" };

afterEach(cleanup);

it("a card whose task has gone on already says so, for no count above it has it any more", () => {
  const { rerender } = render(<TaskCard card={CARD} tone="waiting" />);
  expect(screen.queryByText("moving on")).toBeNull();

  rerender(<TaskCard card={{ ...CARD, later: [STARTED] }} tone="waiting" />);
  expect(screen.getByText("moving on").closest("a")?.classList).toContain("leaving");
});
