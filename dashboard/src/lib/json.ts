// Numbers that a double cannot hold, such as ids beyond 2^53, must be shown and sent back as they are. So they are read
// as texts with a mark before them, which `printJson` takes off again.

// A mark of this page's own: a payload that has somebody else's is a text like any other.
const MARK = `\u0000${Math.random().toString(36).slice(2)}:`;
const MARKED = new RegExp(`"\\\\u0000${MARK.slice(1)}([^"]*)"`, "g");
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Read JSON as `JSON.parse` does, without changing any number. Throws SyntaxError as it does. */
export function parseJson(text: string): unknown {
  if (!/\d{16}|\d[eE]/.test(text)) return JSON.parse(text);
  return JSON.parse(
    text.replace(TOKEN, (token) => (token.startsWith('"') || isExact(token) ? token : JSON.stringify(MARK + token))),
  );
}

function isExact(token: string): boolean {
  const value = Number(token);
  if (/^-?\d+$/.test(token)) return Number.isSafeInteger(value);
  return Number.isFinite(value) && token.replace(/\D/g, "").length <= 15;
}

/** The number that `parseJson` left as it was written, or null when the value is none. */
export function exactNumber(value: unknown): string | null {
  return typeof value === "string" && value.startsWith(MARK) ? value.slice(MARK.length) : null;
}

/** Write what `parseJson` read, for people. */
export function printJson(value: unknown, indent = 2): string {
  const text = JSON.stringify(value, null, indent) ?? "null";
  return text.includes(MARK.slice(1)) ? text.replace(MARKED, "$1") : text;
}

/** Why a text is no JSON object, for people; null when it is one. */
export function objectProblem(text: string): string | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const said = error instanceof Error ? error.message : "it cannot be read";
    return `This is no JSON: ${said}`;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return 'A payload is an object, arguments by name, as in {"user_id": 123}';
  }
  return null;
}
