import { useSelected } from "../lib/store";
import { overview } from "../live/source";

/** Which queue a list is of. One that was asked for and is not there is named all the same, or it would read as all. */
export function QueueSelect({ queue, onChange }: { queue: string; onChange: (queue: string) => void }) {
  const queues = useSelected(overview, (now) => now?.queues);
  return (
    <select className="input small" aria-label="Queue" value={queue} onChange={(event) => onChange(event.target.value)}>
      <option value="">All queues</option>
      {queues?.map((one) => (
        <option key={one.name}>{one.name}</option>
      ))}
      {queue && !queues?.some((one) => one.name === queue) && <option>{queue}</option>}
    </select>
  );
}
