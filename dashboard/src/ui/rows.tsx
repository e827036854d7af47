import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useRef } from "react";

/** A list of any length of which only what is in view is drawn. Rows are `height` px high. */
export function Rows<T>({
  items,
  height,
  label,
  keyOf,
  render,
  onEnd,
}: {
  items: readonly T[];
  height: number;
  label: string;
  keyOf: (item: T) => string | number;
  render: (item: T, index: number) => ReactNode;
  /** The end came into view. */
  onEnd?: (() => void) | undefined;
}) {
  const box = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: items.length,
    getScrollElement: () => box.current,
    estimateSize: () => height,
    overscan: 12,
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
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div className="rows" ref={box} tabIndex={0}>
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
