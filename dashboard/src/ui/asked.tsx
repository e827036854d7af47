import { FOLLOWED } from "../api/queries";
import { clock, whole } from "../lib/format";
import { BoneRows, ProblemBox } from "./basics";

interface Asked {
  error: Error | null;
  refetch: () => unknown;
}

/** What stands where an answer will be: that it is under way, or why there is none. `inside` a panel that is there. */
export function Unanswered({
  asked,
  rows = 8,
  height = 38,
  inside = false,
}: {
  asked: Asked;
  rows?: number;
  height?: number;
  inside?: boolean;
}) {
  if (!asked.error) {
    const bones = <BoneRows rows={rows} height={height} />;
    return inside ? bones : <div className="panel">{bones}</div>;
  }
  const said = <ProblemBox error={asked.error} retry={() => void asked.refetch()} />;
  return inside ? <div className="panel-body">{said}</div> : said;
}

interface Page {
  items: readonly unknown[];
  scanned?: number;
  total?: number | null;
}

interface Paged {
  data: { pages: readonly Page[] } | undefined;
  dataUpdatedAt: number;
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  stuck: Error | null;
  fetchNextPage: () => unknown;
}

/** Under a list that comes page by page: how much of it is there, and what brings more. */
export function PagesFoot({ asked, filtered = false }: { asked: Paged; filtered?: boolean }) {
  if (!asked.data) return null;
  const { pages } = asked.data;
  const found = pages.reduce((sum, page) => sum + page.items.length, 0);
  const looked = pages.reduce((sum, page) => sum + (page.scanned ?? 0), 0);
  const total = pages.at(-1)?.total ?? null; // the newest page's: it was asked last
  const old = pages.length > FOLLOWED ? `, as of ${clock(asked.dataUpdatedAt)}` : "";
  const known = filtered ? `${whole(found)} found in ${whole(looked)}` : whole(found);
  const all = total === null ? (filtered ? "" : " shown") : ` of ${whole(Math.max(total, found))}`;
  return (
    <div className="panel-foot numbers">
      <span>{`${known}${all}${filtered ? " looked at" : ""}${old}`}</span>
      {asked.stuck && (
        <span className="tone-dead toned" role="alert">
          The next ones did not come: {asked.stuck.message}
        </span>
      )}
      {asked.hasNextPage && (
        <button
          type="button"
          className="button small"
          disabled={asked.isFetchingNextPage}
          onClick={() => void asked.fetchNextPage()}
        >
          {asked.isFetchingNextPage ? "Looking…" : asked.stuck ? "Try again" : filtered ? "Look further" : "More"}
        </button>
      )}
    </div>
  );
}
