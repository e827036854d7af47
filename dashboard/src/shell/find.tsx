import { type FormEvent, useRef } from "react";
import { href, navigate } from "../lib/router";
import { Icon } from "../ui/icon";

export const FIND = "find-task";

/** Goes to a task by its id, wherever it is. */
export function Find() {
  const input = useRef<HTMLInputElement>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const id = input.current?.value.trim();
    if (!id || !input.current) return;
    input.current.value = "";
    input.current.blur();
    navigate(href(["tasks", id]));
  };
  return (
    <search>
      <form className="find" onSubmit={submit}>
        <Icon name="search" size={14} />
        <input
          ref={input}
          id={FIND}
          type="search"
          placeholder="Find a task id"
          aria-label="Find a task by its id"
          autoComplete="off"
          spellCheck={false}
        />
        <kbd>/</kbd>
      </form>
    </search>
  );
}
