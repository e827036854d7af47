import { type ReactNode, useEffect, useState } from "react";
import type { State } from "../api/schema";
import { shortId, span } from "../lib/format";
import { Icon, type IconName } from "./icon";
import { complain } from "./toast";

const STATES: Record<State, { label: string; icon: IconName }> = {
  scheduled: { label: "Scheduled", icon: "clock" },
  waiting: { label: "Waiting", icon: "circle" },
  running: { label: "Running", icon: "half" },
  completed: { label: "Completed", icon: "tick" },
  failed: { label: "Failed", icon: "retry" },
  dead: { label: "Dead", icon: "cross" },
  cancelled: { label: "Cancelled", icon: "slash" },
};

export const stateLabel = (state: State): string => STATES[state].label;

/** A state, told by colour, shape and word. */
export function StateWord({ state, bare = false }: { state: State; bare?: boolean }) {
  const { label, icon } = STATES[state];
  return (
    <span className={`state tone-${state}`} title={bare ? label : undefined}>
      <Icon name={icon} size={14} />
      {bare ? <span className="unseen">{label}</span> : label}
    </span>
  );
}

export function Span({ ms }: { ms: number | null }) {
  return ms === null ? <span className="faint">–</span> : span(ms);
}

/** A value that may not be known. */
export function Maybe({ value, show }: { value: number | null; show: (value: number) => string }) {
  return value === null ? <span className="faint">–</span> : show(value);
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <button
      type="button"
      className="button plain small only-icon"
      aria-label={copied ? "Copied" : `Copy ${label}`}
      title={copied ? "Copied" : `Copy ${label}`}
      onClick={(event) => {
        event.stopPropagation();
        event.preventDefault();
        void copy(text).then((done) => {
          setCopied(done);
          if (!done) complain("The browser does not let this page copy. Mark the text and copy it by hand.");
        });
      }}
    >
      <Icon name={copied ? "check" : "copy"} size={14} />
    </button>
  );
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without https there is no clipboard to write to; what is selected can still be copied.
    const before = document.activeElement;
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed"; // at the end of the page it would have that scrolled there
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (before instanceof HTMLElement) before.focus({ preventScroll: true });
    return done;
  }
}

/** An id, cut in the middle, with a button that copies the whole of it. */
export function Id({ id, to, whole = false }: { id: string; to?: string; whole?: boolean }) {
  const text = <code>{whole ? id : shortId(id)}</code>;
  return (
    <span className={whole ? "copyable always" : "copyable"} title={id}>
      {to ? (
        <a href={to} className="link cut">
          {text}
        </a>
      ) : (
        <span className="cut">{text}</span>
      )}
      <CopyButton text={id} label="id" />
    </span>
  );
}

export function Command({ children }: { children: string }) {
  return (
    <span className="command">
      <code>{children}</code>
      <CopyButton text={children} label="command" />
    </span>
  );
}

export function Empty({ title, children, command }: { title: string; children?: ReactNode; command?: string }) {
  return (
    <div className="empty">
      <strong>{title}</strong>
      {children && <p>{children}</p>}
      {command && <Command>{command}</Command>}
    </div>
  );
}

/** A grey bar where something will be. */
export function Bone({ width = "100%", height = 12 }: { width?: number | string; height?: number }) {
  return <span className="bone" style={{ width, height }} aria-hidden="true" />;
}

export function BoneRows({ rows = 8, height = 38 }: { rows?: number; height?: number }) {
  return (
    <output className="stack" aria-label="Loading" style={{ gap: height - 12, padding: "14px" }}>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
        <Bone key={row} width={`${92 - ((row * 17) % 38)}%`} />
      ))}
    </output>
  );
}

export function ProblemBox({ error, retry }: { error: unknown; retry?: () => void }) {
  const said = error instanceof Error ? error.message : String(error);
  return (
    <div className="problem" role="alert">
      <Icon name="warning" />
      <div className="stack">
        <span>{said}</span>
        {retry && (
          <span>
            <button type="button" className="button small" onClick={retry}>
              Try again
            </button>
          </span>
        )}
      </div>
    </div>
  );
}

export function Notice({ children, tone = "waiting" }: { children: ReactNode; tone?: "waiting" | "dead" | "accent" }) {
  return (
    <div className={`notice tone-${tone}`}>
      <Icon name={tone === "accent" ? "info" : "warning"} />
      <div>{children}</div>
    </div>
  );
}

/** A share as a bar; the number stands beside it, for whoever cannot see bars. */
export function Meter({ share, tone }: { share: number; tone?: string }) {
  const scale = Math.min(1, Math.max(0, share));
  return (
    <span className={tone ? `meter tone-${tone}` : "meter"} aria-hidden="true">
      <span style={{ transform: `scaleX(${scale})` }} />
    </span>
  );
}

export function Segmented<T extends string>({
  label,
  options,
  value,
  onChange,
}: {
  label: string;
  options: readonly (readonly [T, ReactNode, string?])[];
  value: T;
  onChange: (value: T) => void;
}) {
  return (
    <fieldset className="segmented" aria-label={label}>
      {options.map(([option, text, title]) => (
        <button
          key={option}
          type="button"
          aria-pressed={option === value}
          {...(title && { title })}
          {...(title && typeof text !== "string" && { "aria-label": title })}
          onClick={() => onChange(option)}
        >
          {text}
        </button>
      ))}
    </fieldset>
  );
}
