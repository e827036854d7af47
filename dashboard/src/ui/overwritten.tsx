import { Notice } from "./basics";

/** Names the keys that something else has overwritten: what they held is not in what is shown. */
export function Overwritten({ keys, from }: { keys: readonly string[] | undefined; from: string }) {
  if (!keys?.length) return null;
  return (
    <Notice tone="dead">
      Something else has overwritten <code>{[...new Set(keys)].join(", ")}</code>: what it held is not in {from}. See
      with TYPE what it is now, and move it away with RENAME.
    </Notice>
  );
}
