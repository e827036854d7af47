import { type ReactNode, useEffect, useRef, useState } from "react";
import { useAct } from "../api/queries";
import type { Session } from "../api/schema";
import { short, whole } from "../lib/format";
import { href, type Route } from "../lib/router";
import { stopped, type Theme, theme } from "../lib/settings";
import { useSelected, useStore } from "../lib/store";
import type { Link } from "../live/link";
import { link, overview, renew } from "../live/source";
import { useSession } from "../session";
import { Segmented } from "../ui/basics";
import { Icon, type IconName, Mark } from "../ui/icon";
import { Toasts } from "../ui/toast";
import { Find } from "./find";
import { KeyHelp, useKeys } from "./keys";
import { OperationBar } from "./operation-bar";
import { LostBanner, SignInDialog } from "./outages";

export const PAGES: readonly { path: string; label: string; icon: IconName; key: string }[] = [
  { path: "", label: "Overview", icon: "overview", key: "o" },
  { path: "queues", label: "Queues", icon: "queues", key: "q" },
  { path: "tasks", label: "Tasks", icon: "tasks", key: "t" },
  { path: "dead-letters", label: "Dead letters", icon: "dead", key: "d" },
  { path: "workers", label: "Workers", icon: "workers", key: "w" },
  { path: "live", label: "Live", icon: "live", key: "l" },
  { path: "system", label: "System", icon: "system", key: "s" },
];

export function Shell({ route, children }: { route: Route; children: ReactNode }) {
  const state = useStore(link.state);
  const [help, setHelp] = useState(false);
  useKeys({ help: () => setHelp(true) });
  const page = PAGES.find((one) => one.path === (route.path[0] ?? "")) ?? PAGES[0];
  const inside = route.path[1];
  useEffect(() => {
    document.title = `${inside ? `${inside} · ` : ""}${page?.label ?? "Buraq"} · Buraq`;
  }, [page, inside]);
  useFocus(route.path.join("/"));
  const old = (state.phase === "lost" || state.phase === "given-up") && state.before;
  const full = ["tasks", "live"].includes(route.path[0] ?? "") && !inside;
  return (
    <div className="app">
      <button type="button" className="skip" onClick={() => document.getElementById("content")?.focus()}>
        Skip to the content
      </button>
      <Side current={page?.path ?? ""} />
      <div className="main">
        <header className="top">
          <h1 className="row">
            {inside ? (
              <>
                <a className="crumb" href={href([page?.path ?? ""].filter(Boolean))}>
                  {page?.label}
                </a>
                <span className="faint" aria-hidden="true">
                  /
                </span>
                <span className="cut">
                  {inside.length > 24 ? `${inside.slice(0, 10)}…${inside.slice(-8)}` : inside}
                </span>
              </>
            ) : (
              page?.label
            )}
          </h1>
          <div className="top-tools">
            <Find />
            <Follow />
            <button
              type="button"
              className="button plain only-icon wide-only"
              title="Keyboard shortcuts (?)"
              aria-label="Keyboard shortcuts"
              onClick={() => setHelp(true)}
            >
              <Icon name="keyboard" />
            </button>
          </div>
        </header>
        <LostBanner link={state} />
        <OperationBar />
        <main id="content" tabIndex={-1} className={`${full ? "content full" : "content"}${old ? " stale" : ""}`}>
          {children}
        </main>
      </div>
      <Toasts />
      {help && <KeyHelp onClose={() => setHelp(false)} />}
    </div>
  );
}

/** A focus that went with the view that was left goes to the next one, where whoever uses keys or hears the page is. */
function useFocus(view: string): void {
  const last = useRef(view);
  useEffect(() => {
    if (last.current === view) return;
    last.current = view;
    if (document.activeElement === document.body) document.getElementById("content")?.focus({ preventScroll: true });
  }, [view]);
}

function Side({ current }: { current: string }) {
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    // On a phone the views are a strip that scrolls.
    if (current) nav.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [current]);

  return (
    <aside className="side" aria-label="Views and session">
      <div className="brand">
        <Mark />
        Buraq
      </div>
      <nav className="nav" aria-label="Views" ref={nav}>
        {PAGES.map((page) => (
          <a
            key={page.path}
            href={href([page.path].filter(Boolean))}
            aria-current={page.path === current ? "page" : undefined}
          >
            <Icon name={page.icon} />
            {page.label}
            <Count page={page.path} />
          </a>
        ))}
      </nav>
      <div className="side-foot">
        <Who />
        <div className="who">
          <Pulse />
          <Segmented<Theme>
            label="Colours"
            value={useStore(theme)}
            onChange={theme.set}
            options={[
              ["light", <Icon key="light" name="sun" size={13} />, "Light"],
              ["system", <Icon key="system" name="screen" size={13} />, "As the system"],
              ["dark", <Icon key="dark" name="moon" size={13} />, "Dark"],
            ]}
          />
        </div>
      </div>
    </aside>
  );
}

function Count({ page }: { page: string }) {
  const count = useSelected(overview, (now) => {
    if (!now) return null;
    if (page === "dead-letters") return now.totals.dead;
    if (page === "queues") return now.queues.length;
    if (page === "tasks") return now.totals.waiting + now.totals.running + now.totals.scheduled;
    return page === "workers" ? now.workers.active + now.workers.draining : null;
  });
  if (count === null) return null;
  const bad = (page === "dead-letters" && count > 0) || (page === "workers" && count === 0);
  return (
    <span className={bad ? "count bad" : "count"} title={whole(count)}>
      {short(count)}
    </span>
  );
}

const PULSES: Record<Link["phase"], [tone: string, text: string]> = {
  connecting: ["waiting", "Connecting…"],
  live: ["completed", "Live"],
  asking: ["waiting", "Every 2 s"],
  lost: ["dead", "Offline"],
  "given-up": ["dead", "Offline"],
  away: ["dead", "Redis away"],
  refused: ["waiting", "Signed out"],
  resting: ["cancelled", "Stopped"],
};

function Pulse() {
  const { phase } = useStore(link.state);
  const [tone, text] = PULSES[phase];
  return <output className={`pulse tone-${tone}${phase === "live" ? " live" : ""}`}>{text}</output>;
}

function Follow() {
  const still = useStore(stopped);
  const label = still ? "Follow again (p)" : "Stop following (p)";
  return (
    <button
      type="button"
      className={still ? "button primary only-icon" : "button only-icon"}
      aria-pressed={still}
      aria-label={label}
      title={label}
      onClick={() => stopped.set(!still)}
    >
      <Icon name={still ? "play" : "pause"} />
    </button>
  );
}

function Who() {
  const session = useSession();
  const [asking, setAsking] = useState(false);
  const leave = useAct("signOut", () => {
    renew();
    return null;
  });
  return (
    <div className="who" title={session.why_not ?? undefined}>
      <span className="who-name cut">{whoText(session)}</span>
      {session.can_sign_in && (
        <button type="button" className="button small" onClick={() => setAsking(true)}>
          <Icon name="key" size={14} />
          <span className="who-verb">Sign in</span>
        </button>
      )}
      {session.signed_in && (
        <button
          type="button"
          className="button plain small"
          disabled={leave.isPending}
          onClick={() => leave.mutate({})}
        >
          <Icon name="out" size={14} />
          <span className="who-verb">Sign out</span>
        </button>
      )}
      {asking && <SignInDialog onClose={() => setAsking(false)} />}
    </div>
  );
}

function whoText({ read_only, may_change, can_sign_in, who }: Session): string {
  if (read_only) return "Read-only";
  if (may_change) return `You: ${who === "loopback" ? "this machine" : who}`;
  return can_sign_in ? "Reading" : "Reading only";
}
