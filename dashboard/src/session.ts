import { useAsk } from "./api/queries";
import type { Session } from "./api/schema";

const NOBODY: Session = {
  who: "anybody",
  signed_in: false,
  may_read: true,
  may_change: false,
  why_not: null,
  can_sign_in: false,
  read_only: false,
  expires_at: null,
};

/** Who we are to the API; until it has said so, somebody who may change nothing. */
export function useSession(): Session {
  return useAsk("getSession", {}, { every: 60_000 }).data ?? NOBODY;
}
