import type { ReactNode } from "react";

/** A part of a view under a heading. `label` names it for whoever hears the view, where the title alone would not. */
export function Panel({
  title,
  label = title,
  kind,
  aside,
  right,
  children,
}: {
  title: string;
  label?: string;
  /** A class of its own. */
  kind?: string;
  /** What stands beside the title. */
  aside?: ReactNode;
  right?: ReactNode;
  children: ReactNode;
}) {
  return (
    <section className={kind ? `panel ${kind}` : "panel"} aria-label={label}>
      <div className="panel-head">
        <h2>{title}</h2>
        {aside}
        {right && <div className="right">{right}</div>}
      </div>
      {children}
    </section>
  );
}
