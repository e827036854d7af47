// Ages count by the server's clock: a laptop that is five minutes off would show tasks that wait since the future.

import { Store, useStore } from "./store";

let ahead = 0;
const ticks = new Store(Math.floor(Date.now() / 1000));

/** Note what the server's clock said just now. */
export function heardTime(at: string): void {
  const heard = Date.parse(at) - Date.now();
  // What an answer took on its way is no skew; small differences would make ages jump back and forth.
  if (Number.isFinite(heard)) ahead = Math.abs(heard) < 2000 ? 0 : heard;
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
