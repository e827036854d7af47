import { type ReactNode, useLayoutEffect, useRef } from "react";

const PEEK = 40; // px that are seen on either side of the current one: as wide as the fade, and a hint that there is more

type Strip = Pick<HTMLElement, "scrollLeft" | "scrollWidth" | "clientWidth">;

/** How far to scroll a strip so that one of its links is in sight: as little as that takes. */
export function inSight(strip: Strip, link: Pick<HTMLElement, "offsetLeft" | "offsetWidth">): number {
  const most = link.offsetLeft - PEEK;
  const least = link.offsetLeft + link.offsetWidth + PEEK - strip.clientWidth;
  const to = Math.min(most, Math.max(least, strip.scrollLeft));
  return Math.max(0, Math.min(strip.scrollWidth - strip.clientWidth, to));
}

/** Behind which of its ends a strip goes on. Places may be fractions of a pixel off. */
export function more({ scrollLeft, scrollWidth, clientWidth }: Strip): string {
  return [scrollLeft > 1 && "before", scrollWidth - clientWidth - scrollLeft > 1 && "after"].filter(Boolean).join(" ");
}

/**
 * Links of which one is current. Where there is no room for all of them it is a strip that scrolls: the current one is kept
 * in sight, and an end fades as long as there is more behind it. The page itself is never moved by that.
 */
export function Ribbon({
  label,
  kind,
  current,
  children,
}: {
  label: string;
  /** A class of its own. */
  kind: string;
  /** Which one is current; itself it says so by `aria-current`. */
  current: string;
  children: ReactNode;
}) {
  const nav = useRef<HTMLElement>(null);
  const shown = useRef<number | null>(null); // to where this scrolled it; elsewhere it is when somebody did by hand

  // biome-ignore lint/correctness/useExhaustiveDependencies: which one is current stands in the links
  useLayoutEffect(() => reveal(nav.current, shown), [current]);

  useLayoutEffect(() => {
    const strip = nav.current;
    if (!strip) return;
    const fade = () => {
      const ends = more(strip);
      if (ends) strip.dataset.more = ends;
      else delete strip.dataset.more;
    };
    // The font and the counts come later than the links, and make them narrower, which moves an end, and wider.
    const resize = new ResizeObserver(() => {
      const own = Math.min(shown.current ?? 0, strip.scrollWidth - strip.clientWidth);
      if (Math.abs(strip.scrollLeft - own) < 2) reveal(strip, shown, "instant");
      fade();
    });
    for (const one of [strip, ...strip.children]) resize.observe(one);
    strip.addEventListener("scroll", fade, { passive: true });
    return () => {
      resize.disconnect();
      strip.removeEventListener("scroll", fade);
    };
  }, []);

  return (
    <nav className={`ribbon ${kind}`} aria-label={label} ref={nav}>
      {children}
    </nav>
  );
}

/** Scroll a strip to its current link; as its style says, which knows who wants less motion, but the first time at once. */
function reveal(strip: HTMLElement | null, shown: { current: number | null }, behavior: ScrollBehavior = "auto"): void {
  const link = strip?.querySelector<HTMLElement>("[aria-current]");
  if (!strip || !link) return;
  const first = shown.current === null;
  shown.current = inSight(strip, link);
  strip.scrollTo({ left: shown.current, behavior: first ? "instant" : behavior });
}
