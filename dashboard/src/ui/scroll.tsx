import type { ReactNode } from "react";

/** A table that may be wider than the screen, with nothing in it that takes the focus: it scrolls by keyboard too. */
export function Scroll({ children }: { children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div className="scroll-x" tabIndex={0}>
      {children}
    </div>
  );
}
