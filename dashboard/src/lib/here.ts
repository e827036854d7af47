import { type RefObject, useEffect, useRef } from "react";

/** Whether what asked is still there: an answer may come to a view that was left, and must not move whoever left it. */
export function useHere(): RefObject<boolean> {
  const here = useRef(false);
  useEffect(() => {
    here.current = true;
    return () => {
      here.current = false;
    };
  }, []);
  return here;
}
