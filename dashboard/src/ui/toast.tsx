import { useLayoutEffect, useRef } from "react";
import { Store, useStore } from "../lib/store";
import { Icon } from "./icon";

interface Toast {
  key: number;
  tone: "completed" | "dead";
  text: string;
  to?: string;
  /** How often it was said. */
  times: number;
}

const LIFE_MS = 5000;
const LINK_LIFE_MS = 15_000; // of one with a link, which somebody has to get to
const MOST = 20; // of either kind; in a storm of failures the oldest go
const toasts = new Store<readonly Toast[]>([]);
let next = 0;

function add({ tone, text, to }: Omit<Toast, "key" | "times">): number {
  const key = next++;
  toasts.update((all) => {
    const same = (one: Toast) => one.tone === tone && one.text === text && one.to === to;
    const times = 1 + (all.find(same)?.times ?? 0);
    const others = all.filter((one) => !same(one));
    const alike = others.filter((one) => one.tone === tone);
    const excess = new Set(alike.slice(0, Math.max(0, alike.length - (MOST - 1))));
    return [...others.filter((one) => !excess.has(one)), { key, tone, text, times, ...(to && { to }) }];
  });
  return key;
}

const drop = (key: number): void => toasts.update((all) => all.filter((toast) => toast.key !== key));

/** Say that something went well. It goes by itself. */
export function say(text: string, to?: string): void {
  const key = add({ tone: "completed", text, ...(to && { to }) });
  setTimeout(() => drop(key), to ? LINK_LIFE_MS : LIFE_MS);
}

/** Say that something failed. It stays until somebody dismisses it: who looked away for a moment has to know. */
export function complain(error: unknown): void {
  add({ tone: "dead", text: error instanceof Error ? error.message : String(error) });
}

/** Dismiss what was said last. Returns whether there was anything. */
export function dismiss(): boolean {
  const last = toasts.get().at(-1);
  if (last) drop(last.key);
  return last !== undefined;
}

export const dismissAll = (): void => toasts.set([]);

export function Toasts() {
  const all = useStore(toasts);
  const box = useRef<HTMLOutputElement>(null);
  const inside = useRef(false); // whether the focus was on a button of what is dismissed
  const failures = all.filter((toast) => toast.tone === "dead").length;
  // The focus goes with a button that goes: to the next one, and with the last one to the view.
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is looked at is on the page
  useLayoutEffect(() => {
    if (!inside.current || box.current?.contains(document.activeElement)) return;
    inside.current = false;
    const left = box.current?.querySelector<HTMLElement>(".toast:last-of-type .toast-close");
    (left ?? document.getElementById("content"))?.focus({ preventScroll: true });
  }, [all]);
  return (
    <output
      ref={box}
      className="toasts"
      aria-live="polite"
      onFocus={() => {
        inside.current = true;
      }}
      onBlur={({ relatedTarget }) => {
        // Without a next one the button itself may have gone, which is no leaving.
        if (relatedTarget && !box.current?.contains(relatedTarget)) inside.current = false;
      }}
    >
      {failures > 1 && (
        <button type="button" className="button small toasts-all" onClick={dismissAll}>
          Dismiss all
        </button>
      )}
      {all.map((toast) => (
        <div key={toast.key} className={`toast tone-${toast.tone}`}>
          <Icon name={toast.tone === "dead" ? "warning" : "check"} />
          <p>
            {toast.text}
            {toast.times > 1 && <span className="faint"> ({toast.times} times)</span>}
            {toast.to && (
              <>
                {" "}
                <a className="link" href={toast.to}>
                  Show
                </a>
              </>
            )}
          </p>
          <button
            type="button"
            className="button plain small only-icon toast-close"
            aria-label="Dismiss"
            title="Dismiss (Esc)"
            onClick={() => drop(toast.key)}
          >
            <Icon name="close" size={14} />
          </button>
        </div>
      ))}
    </output>
  );
}
