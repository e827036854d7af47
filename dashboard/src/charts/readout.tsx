/** The legend of a chart, which reads the values off: under the pointer, or of the whole window. */
export function Readout({
  values,
  when,
}: {
  values: readonly { label: string; tone: string; value: string }[];
  when: string;
}) {
  return (
    <div className="readout">
      {values.map((one) => (
        <span key={one.label} className={`tone-${one.tone}`}>
          <i className={one.tone === "line" ? "readout-line" : "readout-mark"} aria-hidden="true" />
          {one.label} <b className="numbers">{one.value}</b>
        </span>
      ))}
      <span className="readout-when">{when}</span>
    </div>
  );
}
