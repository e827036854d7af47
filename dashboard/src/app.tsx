import { lazy, Suspense, useEffect } from "react";
import { cache, useAsk } from "./api/queries";
import { href, type Route, useRoute } from "./lib/router";
import { stopped } from "./lib/settings";
import { useStore } from "./lib/store";
import { figures, link, listen } from "./live/source";
import { Overview } from "./pages/overview/overview";
import { Boundary } from "./shell/boundary";
import { Away, Connecting, SignInPage, Unreachable } from "./shell/outages";
import { Shell } from "./shell/shell";
import { BoneRows, Empty } from "./ui/basics";

const Queues = lazy(() => import("./pages/queues").then((page) => ({ default: page.Queues })));
const QueuePage = lazy(() => import("./pages/queue").then((page) => ({ default: page.QueuePage })));
const Tasks = lazy(() => import("./pages/tasks").then((page) => ({ default: page.Tasks })));
const TaskPage = lazy(() => import("./pages/task").then((page) => ({ default: page.TaskPage })));
const DeadLetters = lazy(() =>
  import("./pages/dead-letters/dead-letters").then((page) => ({ default: page.DeadLetters })),
);
const DeadLetterPage = lazy(() => import("./pages/dead-letter").then((page) => ({ default: page.DeadLetterPage })));
const Workers = lazy(() => import("./pages/workers").then((page) => ({ default: page.Workers })));
const WorkerPage = lazy(() => import("./pages/worker").then((page) => ({ default: page.WorkerPage })));
const Live = lazy(() => import("./pages/live").then((page) => ({ default: page.Live })));
const System = lazy(() => import("./pages/system/system").then((page) => ({ default: page.System })));

/** Ask for the figures where no stream brings them. */
function useFigures(): void {
  const { phase } = useStore(link.state);
  const still = useStore(stopped);
  const asked = useAsk(
    "getOverview",
    {},
    { every: 2000, enabled: phase === "asking" || (phase === "resting" && still) },
  );
  useEffect(() => {
    if (asked.data) figures(asked.data);
  }, [asked.data]);
}

/** When the stream begins anew, what is shown may be old. */
function useRenewal(): void {
  useEffect(
    () =>
      listen([], (arrived) => {
        if (arrived.some((one) => "skipped" in one && one.skipped === null)) void cache.invalidateQueries();
      }),
    [],
  );
}

export function App() {
  useFigures();
  useRenewal();
  const state = useStore(link.state);
  const route = useRoute();
  if (state.phase === "refused") return <SignInPage />;
  const before = "before" in state && state.before;
  // Where a view was shown it stays, under whatever is said of an outage: somebody may have begun to write in it.
  return (
    <Shell route={route}>
      {state.phase === "away" && <Away before={before} />}
      {state.phase === "away" && !before ? null : state.phase === "connecting" && !before ? (
        <Connecting />
      ) : (state.phase === "lost" || state.phase === "given-up") && !before ? (
        <Unreachable link={state} />
      ) : (
        <Boundary key={route.path.join("/")}>
          <Suspense fallback={<BoneRows />}>
            <View route={route} />
          </Suspense>
        </Boundary>
      )}
    </Shell>
  );
}

function View({ route }: { route: Route }) {
  const [page = "", id] = route.path;
  switch (page) {
    case "":
      return <Overview />;
    case "queues":
      return id === undefined ? <Queues /> : <QueuePage name={id} />;
    case "tasks":
      return id === undefined ? <Tasks query={route.query} /> : <TaskPage id={id} queue={route.query.get("queue")} />;
    case "dead-letters":
      return id === undefined ? <DeadLetters query={route.query} /> : <DeadLetterPage id={id} />;
    case "workers":
      return id === undefined ? <Workers /> : <WorkerPage id={id} />;
    case "live":
      return <Live query={route.query} />;
    case "system":
      return <System query={route.query} />;
    default:
      return (
        <Empty title="There is no such page">
          <a className="link" href={href([])}>
            To the overview
          </a>
        </Empty>
      );
  }
}
