const MARGIN = { x: 1, y: 2 };

/** What was last as a line: each point where its time is, now at the right end. The figure beside it says how much. */
export function Sparkline({
  points,
  span,
  width = 96,
  height = 22,
}: {
  /** Unix ms and a value, the newest last. */
  points: readonly (readonly [at: number, value: number])[];
  /** How many ms the whole width is. */
  span: number;
  width?: number;
  height?: number;
}) {
  const now = points.at(-1)?.[0] ?? 0;
  const top = Math.max(...points.map(([, value]) => value), 1);
  const x = (at: number) => width - MARGIN.x - ((now - at) / span) * (width - 2 * MARGIN.x);
  const y = (value: number) => height - MARGIN.y - (value / top) * (height - 2 * MARGIN.y);
  const line = points.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`);
  return (
    <svg className="sparkline" width={width} height={height} aria-hidden="true">
      <polyline points={line.join(" ")} fill="none" stroke="var(--muted)" strokeWidth="1.25" strokeLinejoin="round" />
    </svg>
  );
}
