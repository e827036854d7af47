// The page's own addresses live behind the hash: they work under any prefix, on any static server, and need no route of
// the API's. Filters are in the query behind it, so a view can be sent to somebody.

import { useMemo } from "react";
import { Store, useStore } from "./store";

export interface Route {
  /** Decoded segments: `#/tasks/a%2Fb` is ["tasks", "a/b"]. */
  path: readonly string[];
  query: URLSearchParams;
}

type Values = Record<string, string | number | boolean | null | undefined>;

const hash = new Store(location.hash);
let back = wasHere();
// Right after the first of these the browser scrolls a view that was come back to: it has to be there by then.
addEventListener("popstate", arrive);
addEventListener("hashchange", arrive);

function arrive(): void {
  if (location.hash === hash.get()) return; // the second says the same again
  back = wasHere();
  hash.set(location.hash);
}

/** Whether one was at this step of the history before; from now on one was. */
function wasHere(): boolean {
  if (history.state?.here === true) return true;
  history.replaceState({ ...history.state, here: true }, "");
  return false;
}

/** Whether the view was come back to, so that it is to be as it was left. */
export const cameBack = (): boolean => back;

export function parseHash(text: string): Route {
  const [path = "", query = ""] = text.replace(/^#/, "").split(/\?(.*)/s);
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The address of a view, as it stands in a link. */
export function href(path: readonly string[], values: Values = {}): string {
  return `#/${path.map(encodeURIComponent).join("/")}${queryText(values)}`;
}

function queryText(values: Values): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== "" && value !== false) query.set(name, String(value));
  }
  const text = query.toString();
  return text && `?${text}`;
}

export function navigate(to: string): void {
  location.hash = to;
  arrive(); // at once: the browser's own event may come later
}

/** Change some values of the query, the rest stays. Not a step in the history: filters are tried out. */
export function setQuery(changes: Values): void {
  const { path, query } = parseHash(location.hash);
  const to = href(path, { ...Object.fromEntries(query), ...changes });
  history.replaceState(history.state, "", to);
  hash.set(location.hash);
}

/** What a row does that goes somewhere wherever it is clicked. What stands in it to be clicked does its own. */
export const goes =
  (to: string) =>
  ({ target }: { target: EventTarget }): void => {
    if (!(target instanceof Element && target.closest("a, button"))) navigate(to);
  };

export function useRoute(): Route {
  const text = useStore(hash);
  return useMemo(() => parseHash(text), [text]);
}
