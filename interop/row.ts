import type { SessionMessage } from "../src/gen/codereview/v1/codereview_pb.ts";
import type { Person } from "./person.ts";

export interface Row {
  readonly client: string;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly says: string;
}

/** How it went for somebody, beside the log and the text that the log makes. `failure`: it did not get through. */
export function rowOf(
  person: Person,
  log: readonly SessionMessage[],
  text: string | undefined,
  failure: string | undefined,
): Row {
  const own = log.filter((record) => person.isOwn(record)).length;
  const says = `${own} of ${log.length} records are its own; told of ${person.told}${person.canResume ? `; resumed ${person.resumed} times` : ""}`;
  const faults =
    failure !== undefined
      ? [failure]
      : [
          ...person.faults(log),
          ...(person.hasAll(log.length) ? [] : ["it has not come to rest"]),
          ...(person.text() === text ? [] : ["its text is not the log's"]),
          ...(own > 0 ? [] : ["nothing of it is in the log"]),
          ...(person.canResume && person.resumed === 0 ? ["it was never cut and resumed"] : []),
        ];
  return {
    client: person.name,
    outcome: faults.length === 0 ? "passed" : "failed",
    says: faults.length === 0 ? says : [...new Set(faults)].slice(0, 5).join("; "),
  };
}
