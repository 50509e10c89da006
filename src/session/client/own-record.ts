import type { SessionMessage, TextChange } from "../../gen/codereview/v1/codereview_pb.ts";
import { type Change, listChanges } from "../text.ts";
import type { Entry } from "./outbox.ts";
import { deleteAll, type PendingFile } from "./pending-file.ts";

/**
 * Whether a record, the next of the log, is what the relay would have made of a message of the queue. An edit in flight
 * has been mapped over all that came before the record, exactly as the relay maps it.
 */
export function matchesRecord(
  { work, payload }: Entry,
  record: SessionMessage,
  fileOf: (path: string) => PendingFile | undefined,
): boolean {
  const logged = record.payload;
  if (logged.case === "edit" && work.kind === "edit") {
    const file = fileOf(work.path);
    return logged.value.filePath === work.path && file !== undefined && isStep(file, logged.value);
  }
  if (logged.case === "comment" && payload.case === "comment") {
    const [a, b] = [logged.value, payload.value];
    const sameText = a.deleted || a.text === b.text;
    return a.commentId === b.commentId && sameText && a.deleted === b.deleted && a.resolved === b.resolved;
  }
  if (logged.case === "custom" && payload.case === "custom") {
    const [a, b] = [logged.value, payload.value];
    return a.type === b.type && a.data.length === b.data.length && a.data.every((byte, i) => byte === b.data[i]);
  }
  return false;
}

function isStep(
  { inFlight, confirmed }: PendingFile,
  logged: { readonly deleted: boolean; readonly changes: readonly TextChange[] },
): boolean {
  if (inFlight === undefined || inFlight.kind === "lost") return false;
  const deletes = inFlight.kind === "delete";
  const own = listChanges(deletes ? deleteAll(confirmed.text.length) : inFlight.changes);
  return deletes === logged.deleted && sameChanges(own, logged.changes.filter(isChange));
}

/** A change that changes nothing stands for "none". */
const isChange = ({ from, to, insert }: Change): boolean => from < to || insert !== "";

function sameChanges(a: readonly Change[], b: readonly Change[]): boolean {
  return (
    a.length === b.length &&
    a.every((change, i) => change.from === b[i]?.from && change.to === b[i]?.to && change.insert === b[i]?.insert)
  );
}
