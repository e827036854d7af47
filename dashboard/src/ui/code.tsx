import { useMemo } from "react";
import { printJson } from "../lib/json";
import { CopyButton } from "./basics";

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/g;
const COLOURED = 60_000; // characters; a megabyte in a hundred thousand spans would stop the page

interface Piece {
  at: number;
  text: string;
  kind: string;
}

function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    if (match.index > end) found.push({ at: end, text: text.slice(end, match.index), kind: "" });
    found.push({ at: match.index, text: match[0], kind: kindOf(match) });
    end = match.index + match[0].length;
  }
  found.push({ at: end, text: text.slice(end), kind: "" });
  return found;
}

function kindOf(match: RegExpMatchArray): string {
  if (match[2] !== undefined) return "json-key";
  if (match[1] === '"[redacted]"') return "json-hidden";
  if (match[1] !== undefined) return "json-text";
  return /^[tfn]/.test(match[0]) ? "json-word" : "json-number";
}

/** JSON as it was read by `parseJson`, every number as it was written. */
export function Json({ value, label }: { value: unknown; label: string }) {
  const text = useMemo(() => printJson(value), [value]);
  const parts = useMemo(() => (text.length > COLOURED ? [{ at: 0, text, kind: "" }] : pieces(text)), [text]);
  return (
    <figure className="code" aria-label={label}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>
        {parts.map((part) =>
          part.kind ? (
            <span key={part.at} className={part.kind}>
              {part.text}
            </span>
          ) : (
            part.text
          ),
        )}
      </pre>
      <CopyButton text={text} label={label} />
    </figure>
  );
}

/** Text that a machine wrote: a traceback, an entry that cannot be read. */
export function Block({ text, label, wrap = false }: { text: string; label: string; wrap?: boolean }) {
  return (
    <figure className={wrap ? "code wrap" : "code"} aria-label={label}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>{text}</pre>
      <CopyButton text={text} label={label} />
    </figure>
  );
}
