import { useEffect, useRef } from "react";
import { cache, useAct, useAsk } from "../api/queries";
import type { Operation } from "../api/schema";
import { counted, whole } from "../lib/format";
import { useSession } from "../session";
import { say } from "../ui/toast";

/** Work on many dead letters that is under way, whoever began it, on every page: a reload does not lose it. */
export function OperationBar() {
  const session = useSession();
  const asked = useAsk("listOperations", {}, { every: 5000 });
  const running = asked.data?.operations.filter((one) => one.state === "running") ?? [];
  useAsk("listOperations", {}, { every: 400, enabled: running.length > 0 });
  const seen = useRef(new Set<string>());
  useEffect(() => {
    for (const one of asked.data?.operations ?? []) {
      if (one.state === "running") seen.current.add(one.id);
      else if (seen.current.delete(one.id)) {
        say(ended(one));
        void cache.invalidateQueries();
      }
    }
  }, [asked.data]);
  const stop = useAct("stopOperation", () => null);
  return running.map((one) => (
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
        <button type="button" className="button small" onClick={() => stop.mutate({ at: { id: one.id } })}>
          Stop
        </button>
      )}
    </section>
  ));
}

/** What an operation came to, in a sentence. */
export function ended({ kind, state, done, skipped, error }: Operation): string {
  const what = `${counted(done, "dead letter")} ${kind === "replay" ? "retried" : "deleted"}`;
  const left = [
    skipped.owned && `${whole(skipped.owned)} kept: another task owns their idempotency key`,
    skipped.unreadable && `${whole(skipped.unreadable)} kept: they cannot be read`,
    skipped.gone && `${whole(skipped.gone)} were gone already`,
  ].filter(Boolean);
  const how =
    state === "failed" ? `. It broke off: ${error ?? "see the log"}` : state === "stopped" ? ", then stopped" : "";
  return `${what}${left.length ? ` (${left.join("; ")})` : ""}${how}`;
}
