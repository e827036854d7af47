import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { cameBack } from "../lib/router";

const places = new Map<string, number>();

/** How far down somebody left a list and now comes back to it; 0 for who comes anew. */
function left(place: string): number {
  if (!cameBack()) places.delete(place);
  return places.get(place) ?? 0;
}

/**
 * A list of any length of which only what is in view is drawn. Rows are `height` px high. At its top it shows what comes
 * first; further down what is read stays where it is, whatever comes or goes above.
 */
export function Rows<T>({
  items,
  height,
  label,
  keyOf,
  render,
  place,
  onEnd,
}: {
  items: readonly T[];
  height: number;
  label: string;
  keyOf: (item: T) => string | number;
  render: (item: T, index: number) => ReactNode;
  /** By which name to remember how far down one is, for whoever comes back. */
  place?: string;
  /** The end came into view. */
  onEnd?: (() => void) | undefined;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [offset] = useState(() => (place ? left(place) : 0));
  const rows = useVirtualizer({
    count: items.length,
    getScrollElement: () => box.current,
    estimateSize: () => height,
    overscan: 12,
    anchorTo: (box.current?.scrollTop ?? 0) > height / 2 ? "end" : "start",
    initialOffset: offset,
    getItemKey: (index) => {
      const item = items[index];
      return item === undefined ? index : keyOf(item);
    },
  });
  const drawn = rows.getVirtualItems();
  const last = drawn.at(-1)?.index ?? -1;
  useEffect(() => {
    if (onEnd && items.length && last >= items.length - 5) onEnd();
  }, [last, items.length, onEnd]);
  return (
    <div
      className="rows"
      ref={box}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
      tabIndex={0}
      onScroll={({ currentTarget }) => place && places.set(place, currentTarget.scrollTop)}
    >
      <ul className="rows-inner" aria-label={label} style={{ height: rows.getTotalSize() }}>
        {drawn.map((row) => {
          const item = items[row.index];
          return item === undefined ? null : (
            <li key={row.key} className="rows-row" style={{ height, transform: `translateY(${row.start}px)` }}>
              {render(item, row.index)}
            </li>
          );
        })}
      </ul>
    </div>
  );
}
