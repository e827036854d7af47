// What this browser remembers for its user. Nothing secret.

import { Store } from "./store";

export type Theme = "system" | "light" | "dark";

function remembered<T extends string>(name: string, allowed: readonly T[], fallback: T): Store<T> {
  let value = fallback;
  try {
    const found = localStorage.getItem(`buraq.${name}`);
    value = allowed.find((one) => one === found) ?? fallback;
  } catch {
    // Storage may be forbidden; then it is forgotten with the page.
  }
  const store = new Store(value);
  store.subscribe(() => {
    try {
      localStorage.setItem(`buraq.${name}`, store.get());
    } catch {
      // As above.
    }
  });
  return store;
}

export const theme = remembered<Theme>("theme", ["system", "light", "dark"], "system");

export function applyTheme(): void {
  const apply = () => {
    const chosen = theme.get();
    if (chosen === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
  };
  theme.subscribe(apply);
  apply();
}

/** Whether the user stopped the page from following what happens. Forgotten with the page. */
export const stopped = new Store(false);
