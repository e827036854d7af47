import { expect, it } from "vitest";
import { inSight, more } from "./ribbon";

const strip = (scrollLeft: number) => ({ scrollLeft, clientWidth: 390, scrollWidth: 560 });

it.each([
  ["stays where a link is in sight already", 60, 200, 60],
  ["goes on as far as a link beyond its end needs", 0, 330, 40],
  ["goes back as far as a link before its start needs", 170, 90, 50],
  ["ends where it ends", 0, 500, 170],
  ["begins where it begins", 170, 0, 0],
])("a strip %s", (_, at, offsetLeft, to) => {
  expect(inSight(strip(at), { offsetLeft, offsetWidth: 60 })).toBe(to);
});

it("a strip that has room for all of its links does not scroll", () => {
  const wide = { scrollLeft: 0, clientWidth: 900, scrollWidth: 900 };

  expect([inSight(wide, { offsetLeft: 800, offsetWidth: 90 }), more(wide)]).toEqual([0, ""]);
});

it("a strip goes on behind the ends that it was not scrolled to", () => {
  expect([0, 0.4, 80, 169.6, 170].map((at) => more(strip(at)))).toEqual([
    "after",
    "after",
    "before after",
    "before",
    "before",
  ]);
});
