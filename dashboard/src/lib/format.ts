// How numbers, times and ids are written. Everywhere the same, so that figures can be compared at a glance.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const NOW_MS = 5000; // what is due is promoted within a moment, and figures are about a second old

/** 1,234,567 */
export function whole(value: number): string {
  return WHOLE.format(value);
}

/** 999, 1.2k, 34k, 1.2M: at most four characters, for places that are narrow. */
export function short(value: number): string {
  for (const [unit, size] of [
    ["M", 1e6],
    ["k", 1e3],
  ] as const) {
    // 999,500 would be written 1000k.
    if (value >= size * (unit === "M" ? 0.9995 : 1)) {
      const scaled = value / size;
      return `${scaled < 9.95 ? scaled.toFixed(1).replace(".0", "") : Math.round(scaled)}${unit}`;
    }
  }
  return whole(value);
}

/** Tasks a second: 0, 0.2, 41.6, 120, 1.2k. */
export function rate(value: number): string {
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  return value < 99.95 ? String(Number(value.toFixed(1))) : short(Math.round(value));
}

/** 0.4 ms, 42 ms, 1.25 s, 2 m 5 s, 3 h 12 m, 4 d 2 h. */
export function span(ms: number): string {
  if (ms < 1) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${Number(seconds.toFixed(2))} s`;
  if (seconds < 59.95) return `${Number(seconds.toFixed(1))} s`;
  return parts(Math.round(seconds));
}

/** As `span`, without fractions: for ages, which change while one looks. */
export function age(ms: number): string {
  return ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1000))} s` : parts(Math.floor(ms / 1000));
}

/**
 * How long until the first of many is due: about now, within a minute, in 3 m, overdue by 12 s. In steps, for with each
 * look it may be another one.
 */
export function untilFirst(ms: number): string {
  if (ms <= -NOW_MS) return `overdue by ${age(-ms)}`;
  if (ms < NOW_MS) return "about now";
  return ms < 60_000 ? "within a minute" : `in ${age(ms - (ms % 60_000))}`;
}

function parts(seconds: number): string {
  const sizes = [
    ["d", 86_400],
    ["h", 3_600],
    ["m", 60],
    ["s", 1],
  ] as const;
  const first = sizes.findIndex(([, size]) => seconds >= size);
  const [big, next] = [sizes[first], sizes[first + 1]];
  if (!big) return "0 s";
  const head = `${Math.floor(seconds / big[1])} ${big[0]}`;
  const rest = next ? Math.floor((seconds % big[1]) / next[1]) : 0;
  return next && rest ? `${head} ${rest} ${next[0]}` : head;
}

/** 812 B, 40 MiB, 1.5 GiB. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${scaled < 9.95 && unit > 0 ? Number(scaled.toFixed(1)) : Math.round(scaled)} ${units[unit]}`;
}

export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.1) return "<0.1 %";
  return `${value < 9.95 ? Number(value.toFixed(1)) : Math.round(value)} %`;
}

/** 13:04:59, in the reader's time zone. */
export function clock(ms: number): string {
  return CLOCK.format(ms);
}

/** 13:04:59, or 27 Nov 13:04:59 when that is another day than `now`, in the reader's time zone. */
export function clockOn(ms: number, now: number): string {
  const today = new Date(ms).toDateString() === new Date(now).toDateString();
  return today ? clock(ms) : `${DAY.format(ms)} ${clock(ms)}`;
}

/** Date and time in the reader's time zone, and in UTC. */
export function moment(ms: number): string {
  return `${MOMENT.format(ms)} (${new Date(ms).toISOString()})`;
}

/** Generated ids are 32 hex digits that begin alike, so both ends are shown; others as they are, the middle cut. */
export function shortId(id: string): string {
  if (/^[0-9a-f]{32}$/.test(id)) return `${id.slice(0, 6)}…${id.slice(-6)}`;
  return id.length > 28 ? `${id.slice(0, 16)}…${id.slice(-10)}` : id;
}

/** 1 task, 2 tasks, 1,234 dead letters. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${whole(count)} ${count === 1 ? one : many}`;
}
