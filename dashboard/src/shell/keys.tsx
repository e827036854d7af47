import { useEffect, useRef } from "react";
import { href, navigate } from "../lib/router";
import { stopped } from "../lib/settings";
import { Dialog } from "../ui/dialog";
import { dismiss } from "../ui/toast";
import { FIND } from "./find";
import { PAGES } from "./shell";

const CHORD_MS = 1200; // for how long `g` waits for its second key

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName))
  );
}

/** The keys that work everywhere. */
export function useKeys({ help }: { help: () => void }): void {
  const act = useRef(help);
  act.current = help;
  useEffect(() => {
    let going = 0;
    const press = (event: KeyboardEvent) => {
      if (event.key === "Escape" && isTyping(event.target)) (event.target as HTMLElement).blur();
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector("dialog[open]")) return;
      if (event.key === "Escape") dismiss();
      const page = PAGES.find((one) => one.key === event.key);
      if (page && event.timeStamp - going < CHORD_MS) navigate(href([page.path].filter(Boolean)));
      else if (event.key === "/") document.getElementById(FIND)?.focus();
      else if (event.key === "?") act.current();
      else if (event.key === "p") stopped.update((still) => !still);
      else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
      else {
        going = event.key === "g" ? event.timeStamp : 0;
        return;
      }
      going = 0;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

/** Move the focus along what the view marks as a row. */
function step(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const at = rows.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

export function KeyHelp({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl className="facts">
        {PAGES.map((page) => (
          <div key={page.path} style={{ display: "contents" }}>
            <dt>
              <kbd>g</kbd> <kbd>{page.key}</kbd>
            </dt>
            <dd>{page.label}</dd>
          </div>
        ))}
        <dt>
          <kbd>/</kbd>
        </dt>
        <dd>Find a task by its id</dd>
        <dt>
          <kbd>j</kbd> <kbd>k</kbd>
        </dt>
        <dd>Next row, row before; Enter opens it</dd>
        <dt>
          <kbd>p</kbd>
        </dt>
        <dd>Stop following what happens, and follow again</dd>
        <dt>
          <kbd>Esc</kbd>
        </dt>
        <dd>Dismiss what was said last</dd>
        <dt>
          <kbd>?</kbd>
        </dt>
        <dd>This list</dd>
      </dl>
    </Dialog>
  );
}
