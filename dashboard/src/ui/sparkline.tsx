/** The last minute as a line. The figure beside it says how much. */
export function Sparkline({
  values,
  width = 96,
  height = 22,
}: {
  values: readonly number[];
  width?: number;
  height?: number;
}) {
  if (values.length < 2) return <svg width={width} height={height} aria-hidden="true" />;
  const top = Math.max(...values, 1);
  const step = (width - 2) / (values.length - 1);
  const points = values.map(
    (value, n) => `${(1 + n * step).toFixed(1)},${(height - 2 - (value / top) * (height - 4)).toFixed(1)}`,
  );
  return (
    <svg className="sparkline" width={width} height={height} aria-hidden="true">
      <polyline points={points.join(" ")} fill="none" stroke="var(--muted)" strokeWidth="1.25" strokeLinejoin="round" />
    </svg>
  );
}
