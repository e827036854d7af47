import type { ReactNode } from "react";

/** A payload that somebody writes, as JSON text: what is wrong with it, else what it is for. */
export function PayloadField({
  text,
  problem,
  hint,
  rows,
  onChange,
}: {
  text: string;
  problem: string | null;
  hint: ReactNode;
  rows: number;
  onChange: (text: string) => void;
}) {
  return (
    <label className="field">
      <span>Payload</span>
      <textarea
        className="input"
        rows={rows}
        value={text}
        spellCheck={false}
        aria-invalid={problem !== null}
        onChange={(event) => onChange(event.target.value)}
      />
      {problem ? (
        <span className="wrong" role="alert">
          {problem}
        </span>
      ) : (
        hint && <span className="hint">{hint}</span>
      )}
    </label>
  );
}
