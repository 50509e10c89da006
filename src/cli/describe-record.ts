import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import { chatType } from "./join-words.ts";
import { printable } from "./printable.ts";

/** A record of the log in one line for people. */
export function describeRecord(message: SessionMessage): string {
  const { seq, timestamp, userId } = message;
  const time = new Date(Number(timestamp)).toISOString().replace("T", " ").slice(0, 19);
  return printable(`${String(seq).padStart(6)}  ${time}  ${userId} ${describePayload(message)}`);
}

function describePayload({ payload }: SessionMessage): string {
  switch (payload.case) {
    case "edit": {
      const { filePath, version, deleted, changes } = payload.value;
      if (deleted) return `deletes ${filePath} (version ${version})`;
      const added = changes.reduce((sum, { insert }) => sum + insert.length, 0);
      const removed = changes.reduce((sum, { from, to }) => sum + to - from, 0);
      return `edits ${filePath}, +${added} -${removed} (version ${version})`;
    }
    case "comment": {
      const { filePath, lineNumber, text, deleted, resolved, commentId } = payload.value;
      const place = filePath === "" ? "" : ` on ${filePath}:${lineNumber}`;
      if (deleted) return `deletes comment ${commentId}`;
      return `${resolved ? "resolves" : "comments"}${place}: ${text} [${commentId}]`;
    }
    case "custom": {
      const { type, data } = payload.value;
      if (type === chatType) return `says: ${new TextDecoder().decode(data)}`;
      return `sends ${type}, ${data.length} bytes`;
    }
    default:
      return "sends something that this version does not know";
  }
}
