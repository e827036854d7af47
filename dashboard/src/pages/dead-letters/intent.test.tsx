import { QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import { cache } from "../../api/queries";
import type { Operation } from "../../api/schema";
import { Toasts } from "../../ui/toast";
import { Ask } from "./intent";

const OPERATION: Operation = {
  id: "1",
  kind: "delete",
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
};

afterEach(() => {
  cleanup();
  cache.clear();
  vi.unstubAllGlobals();
});

it.each([
  ["done", null, "tone-completed", "4 dead letters deleted"],
  ["failed", "Redis went away", "tone-dead", "4 dead letters deleted. It broke off: Redis went away"],
] as const)("an operation that is %s before the answer comes is said to be so", async (state, error, tone, text) => {
  vi.stubGlobal(
    "fetch",
    vi.fn(async () => Response.json({ ...OPERATION, state, error }, { status: 202 })),
  );
  render(
    <QueryClientProvider client={cache}>
      <Ask
        intent={{ kind: "delete", body: { filter: {}, until: "then" }, count: 4, what: "all" }}
        onClose={() => undefined}
      />
      <Toasts />
    </QueryClientProvider>,
  );

  fireEvent.click(screen.getByText("Delete 4"));

  expect((await screen.findByText(text)).closest(".toast")?.classList).toContain(tone);
});
