import type { Rates } from "../api/schema";

/** Tasks a second that leave their queues for good. One that is to be tried again comes back, so it is not out. */
export const out = ({ completed, dead }: Rates): number => completed + dead;
