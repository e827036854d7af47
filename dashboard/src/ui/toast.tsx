import { Store, useStore } from "../lib/store";
import { Icon } from "./icon";

interface Toast {
  key: number;
  tone: "completed" | "dead";
  text: string;
  to?: string;
}

const LIFE_MS = { completed: 5000, dead: 10_000 };
const toasts = new Store<readonly Toast[]>([]);
let next = 0;

function add(toast: Omit<Toast, "key">): void {
  const key = next++;
  toasts.update((all) => [...all.slice(-3), { ...toast, key }]);
  setTimeout(() => drop(key), LIFE_MS[toast.tone]);
}

const drop = (key: number) => toasts.update((all) => all.filter((toast) => toast.key !== key));

export const say = (text: string, to?: string): void => add({ tone: "completed", text, ...(to && { to }) });
export const complain = (error: unknown): void =>
  add({ tone: "dead", text: error instanceof Error ? error.message : String(error) });

export function Toasts() {
  const all = useStore(toasts);
  return (
    <output className="toasts" aria-live="polite">
      {all.map((toast) => (
        <div key={toast.key} className={`toast tone-${toast.tone}`}>
          <Icon name={toast.tone === "dead" ? "warning" : "check"} />
          <p>
            {toast.text}
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
            className="button plain small only-icon"
            aria-label="Dismiss"
            onClick={() => drop(toast.key)}
          >
            <Icon name="close" size={14} />
          </button>
        </div>
      ))}
    </output>
  );
}
