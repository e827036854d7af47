import { useEffect } from "react";
import { cache, useAct, useAsk } from "../api/queries";
import type { Operation } from "../api/schema";
import { counted, whole } from "../lib/format";
import { useSession } from "../session";
import { complain, say } from "../ui/toast";

const running = new Set<string>();

/** Note an operation that was begun here: it may end before the list of all is looked at. */
export const began = ({ id }: Operation): unknown => running.add(id);

/** Those of all that ran when one looked last, or were begun here, and have ended. Each is said once. */
export function news(operations: readonly Operation[]): Operation[] {
  const ended = operations.filter((one) => one.state !== "running" && running.delete(one.id));
  for (const one of operations) if (one.state === "running") running.add(one.id);
  return ended;
}

/** Work on many dead letters that is under way, whoever began it, on every page: a reload does not lose it. */
export function OperationBar() {
  const session = useSession();
  const asked = useAsk("listOperations", {}, { every: 5000 });
  const shown = asked.data?.operations.filter((one) => one.state === "running") ?? [];
  useAsk("listOperations", {}, { every: 400, enabled: shown.length > 0 });
  useEffect(() => {
    const all = news(asked.data?.operations ?? []);
    all.forEach(ended);
    if (all.length) void cache.invalidateQueries();
  }, [asked.data]);
  const stop = useAct("stopOperation", () => null);
  return shown.map((one) => (
    <section key={one.id} className="banner" style={{ background: "var(--accent-soft)" }} aria-label="Operation">
      <span>
        {one.kind === "replay" ? "Retrying" : "Deleting"} {counted(one.total, "dead letter")}
      </span>
      <span className="muted numbers">
        {whole(one.seen)} of {whole(one.total)}
        {one.by && ` · ${one.by}`}
      </span>
      <span className="progress" style={{ flex: "1 1 120px" }}>
        <span style={{ transform: `scaleX(${one.total ? one.seen / one.total : 1})` }} />
      </span>
      {session.may_change && (
        <button
          type="button"
          className="button small"
          disabled={stop.isPending}
          onClick={() => stop.mutate({ at: { id: one.id } })}
        >
          Stop
        </button>
      )}
    </section>
  ));
}

/** Say what one came to: a failure as a failure, and for as long. */
export const ended = (operation: Operation): void => (operation.state === "failed" ? complain : say)(told(operation));

/** What an operation came to, in a sentence. */
export function told({ kind, state, done, skipped, error }: Operation): string {
  const what = `${counted(done, "dead letter")} ${kind === "replay" ? "retried" : "deleted"}`;
  const left = [
    skipped.owned && `${whole(skipped.owned)} kept: another task owns their idempotency key`,
    skipped.unreadable && `${whole(skipped.unreadable)} kept: they cannot be read`,
    skipped.gone && `${whole(skipped.gone)} ${skipped.gone === 1 ? "was" : "were"} gone already`,
    state !== "failed" && error,
  ].filter(Boolean);
  const how =
    state === "failed" ? `. It broke off: ${error ?? "see the log"}` : state === "stopped" ? ", then stopped" : "";
  return `${what}${left.length ? ` (${left.join("; ")})` : ""}${how}`;
}
