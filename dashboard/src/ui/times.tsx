import { now, useNow } from "../lib/clock";
import { age, clockOn, moment, untilFirst } from "../lib/format";

/** How long ago something was; counts on by itself. What has been is never shown as to come, however clocks differ. */
export function Ago({ at, suffix = false }: { at: string | null; suffix?: boolean }) {
  const now = useNow();
  if (!at) return <span className="faint">–</span>;
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={moment(ms)}>
      {age(now - ms)}
      {suffix && " ago"}
    </time>
  );
}

/** When something is due, or since when it is. */
export function Due({ at }: { at: string | null }) {
  const now = useNow();
  if (!at) return <span className="faint">–</span>;
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={moment(ms)}>
      {ms > now ? `in ${age(ms - now)}` : `${age(now - ms)} ago`}
    </time>
  );
}

/** When the first of many is due, as seen at one moment: while it is another one each time a countdown would jump. */
export function FirstDue({ at, seen }: { at: string; seen: string | undefined }) {
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={moment(ms)}>
      {untilFirst(ms - (seen ? Date.parse(seen) : now()))}
    </time>
  );
}

/** When something was, by the clock; with the day, when that is not today. */
export function Clock({ at }: { at: string }) {
  const now = useNow();
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={moment(ms)}>
      {clockOn(ms, now)}
    </time>
  );
}
