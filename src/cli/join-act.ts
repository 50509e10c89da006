import { PresenceUpdate_Status as Status } from "../gen/codereview/v1/codereview_pb.ts";
import type { SessionClient } from "../session/client/client.ts";
import type { ClientEffect } from "../session/client/effects.ts";
import { assertNever, reasons } from "../session/reasons.ts";
import { isRefusal, type Refusal, refuse } from "../session/refusal.ts";
import { type Change, emptyText, lineBreak, lineChange, parseChanges, textContent } from "../session/text.ts";
import type { JoinAction } from "./join-action.ts";
import type { TypedLine } from "./join-command-line.ts";
import type { JoinEvent } from "./join-event.ts";

/** Those that change the session, or what is told of oneself. */
export type Doing =
  | Exclude<JoinAction, { kind: "show" | "files" | "rotate" | "leave" }>
  | Extract<TypedLine, { kind: "append" }>;

type Effects = readonly ClientEffect[];

/** Of a message, beside its text: names, numbers, its envelope. */
const overheadBytes = 2_048;

/** The relay would end the stream of whoever sends more. Edits are cut into pieces by the client itself. */
function isTooLarge(client: SessionClient, doing: Doing): boolean {
  const maxBytes = client.limits?.maxMessageBytes ?? 0;
  return maxBytes > 0 && textBytes(doing) + overheadBytes > maxBytes;
}

function textBytes(doing: Doing): number {
  switch (doing.kind) {
    case "custom": {
      const { type, data = "", text = "" } = doing.value;
      return Buffer.byteLength(type) + Buffer.byteLength(data, "base64") + Buffer.byteLength(text);
    }
    case "comment":
    case "rewrite":
      return Buffer.byteLength(doing.value.text);
    default:
      return 0;
  }
}

/** Does it to what is displayed; what cannot be done is a refusal, as the relay would have said it. */
export function act(client: SessionClient, doing: Doing, newId: () => string): Effects | Refusal {
  if (isTooLarge(client, doing)) return refuse("MESSAGE_TOO_LARGE");
  switch (doing.kind) {
    case "edit":
      return change(client, doing.value.path, doing.value.changes);
    case "line": {
      const { path, line, content } = doing.value;
      return changeLine(client, path, line, content);
    }
    case "append": {
      const { path, content } = doing.value;
      const text = client.text(path);
      if (text === undefined) return client.createFile(path, content);
      const from = text.length;
      return change(client, path, [{ from, to: from, insert: from === 0 ? content : lineBreak + content }]);
    }
    case "create":
      return client.createFile(doing.value.path, doing.value.content);
    case "delete":
      return client.deleteFile(doing.value.path);
    case "comment": {
      const { id = newId(), path, line, text, parent } = doing.value;
      return client.putComment({ id, path, line, text, parentId: parent });
    }
    case "rewrite":
      return client.rewriteComment(doing.value.id, doing.value.text);
    case "resolve":
      return client.resolveComment(doing.value.id, doing.value.resolved);
    case "uncomment":
      return client.deleteComment(doing.value.id);
    case "custom": {
      const { type, data, text, ephemeral } = doing.value;
      const bytes =
        data === undefined ? new TextEncoder().encode(text ?? "") : new Uint8Array(Buffer.from(data, "base64"));
      return client.custom(type, bytes, ephemeral);
    }
    case "cursor": {
      const { path, line, column } = doing.value;
      const text = client.text(path);
      if (text === undefined) return refuse("FILE_NOT_FOUND");
      const place = text.line(Math.min(line, text.lines));
      return client.cursor(path, { head: Math.min(place.from + column, place.to) });
    }
    case "presence": {
      const { status, name } = doing.value;
      return client.presence(status === "idle" ? Status.IDLE : Status.ACTIVE, name);
    }
    default:
      return assertNever(doing);
  }
}

function change(client: SessionClient, path: string, changes: readonly Change[]): Effects | Refusal {
  const set = parseChanges((client.text(path) ?? emptyText).length, changes);
  return isRefusal(set) ? set : client.edit(path, set);
}

function changeLine(client: SessionClient, path: string, line: number, content: string): Effects | Refusal {
  const text = client.text(path);
  if (text === undefined) {
    return line === 1 ? client.createFile(path, content) : refuse("FILE_NOT_FOUND", reasons.FILE_NOT_FOUND.says);
  }
  const one = lineChange(text, line, content);
  return isRefusal(one) ? one : change(client, path, [one]);
}

/** What is displayed of a file. */
export function showFile(client: SessionClient, path: string): JoinEvent {
  const text = client.text(path);
  const confirmed = client.file(path)?.confirmed;
  return {
    event: "show",
    path,
    exists: text !== undefined,
    text: text === undefined ? "" : textContent(text),
    ...(confirmed?.exists === true ? { version: confirmed.version } : {}),
    settled: client.settled,
  };
}

/** Why nothing was done, as the line that a refusal of the relay is. */
export function refusedLine({ reason, message }: Refusal, doing: Doing): JoinEvent {
  switch (doing.kind) {
    case "comment":
    case "rewrite":
    case "resolve":
    case "uncomment":
      return { event: "refused", reason, message, kind: "comment", ...(doing.value.id ? { id: doing.value.id } : {}) };
    case "custom":
      return { event: "refused", reason, message, kind: "custom", type: doing.value.type };
    case "presence":
      return { event: "refused", reason, message, kind: "custom" };
    default:
      return { event: "refused", reason, message, kind: "edit", path: doing.value.path };
  }
}
