import "uplot/dist/uPlot.min.css";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import { theme } from "../lib/settings";

/** A uPlot in a box: made anew when `build` changes or the colours do, else only given new data. */
export function Plot({
  data,
  build,
  label,
  onCursor,
  steps = false,
}: {
  data: uPlot.AlignedData;
  build: (colour: (name: string) => string) => Omit<uPlot.Options, "width" | "height">;
  label: string;
  onCursor: (index: number | null) => void;
  /** Whether each x is where a step begins, that goes on until the next one: not a point, which is near on both sides. */
  steps?: boolean;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(data);
  latest.current = data;
  const point = useRef(onCursor);
  point.current = onCursor;

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const make = () => {
      plot.current?.destroy();
      const options = build((name) => resolved(element, name));
      const hooks = { ...options.hooks, setCursor: [(u: uPlot) => point.current(pointed(u, steps))] };
      plot.current = new uPlot({ ...options, hooks, ...room(element) }, latest.current, element);
    };
    make();
    const resize = new ResizeObserver(() => plot.current?.setSize(room(element)));
    resize.observe(element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    const forget = theme.subscribe(make);
    return () => {
      resize.disconnect();
      dark.removeEventListener("change", make);
      forget();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [build, steps]);

  useEffect(() => {
    if (!document.hidden) plot.current?.setData(data);
  }, [data]);

  return <div ref={box} className="plot" role="img" aria-label={label} />;
}

/** What the pointer is at: the nearest x, or the one whose step it is in. */
function pointed({ cursor: { idx, left = 0 }, data: [all], posToVal }: uPlot, steps: boolean): number | null {
  if (idx === null || idx === undefined) return null;
  return steps && posToVal(left, "x") < (all[idx] ?? 0) ? Math.max(0, idx - 1) : idx;
}

const room = (element: HTMLElement) => ({ width: element.clientWidth, height: element.clientHeight });

/** What a colour of tokens.css is now: a canvas knows no variables. */
function resolved(element: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  element.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
