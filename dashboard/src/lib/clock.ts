// Ages count by the server's clock: a laptop that is five minutes off would show tasks that wait since the future.

import { Store, useStore } from "./store";

let ahead = 0;
const ticks = new Store(Math.floor(Date.now() / 1000));

/** Note what the server's clock said, at some time since `asked`, unix ms. */
export function heardTime(at: string, asked = Date.now()): void {
  const [heard, here] = [Date.parse(at), Date.now()];
  if (Number.isNaN(heard)) return;
  // What an answer took on its way is no skew; small differences would make ages jump back and forth.
  ahead = heard > asked - 2000 && heard < here + 2000 ? 0 : heard - here;
}

/** Now by the server's clock, unix ms. */
export function now(): number {
  return Date.now() + ahead;
}

setInterval(() => {
  if (!document.hidden) ticks.set(Math.floor(Date.now() / 1000));
}, 1000);

/** Now, again each second. */
export function useNow(): number {
  useStore(ticks);
  return now();
}
