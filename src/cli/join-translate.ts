import type { Fault, PresenceUpdate, SessionMessage, Welcome } from "../gen/codereview/v1/codereview_pb.ts";
import type { LoggedPayload } from "../session/admit.ts";
import type { SessionClient } from "../session/client/client.ts";
import type { ClientEvent } from "../session/client/effects.ts";
import { assertNever } from "../session/reasons.ts";
import type { CommentState } from "../session/state.ts";
import { listChanges, textContent } from "../session/text.ts";
import type { CommentLine, EndLine, JoinEvent, OwnMessage } from "./join-event.ts";
import { goAwayReasons, outcomes, statuses, tokenStates, unknown } from "./wire-names.ts";

type Cause = SessionMessage | undefined;

/** What a client's event is as a line; undefined: nothing that anybody would want to know. */
export function translate(client: SessionClient, event: ClientEvent, cause: Cause): JoinEvent | undefined {
  switch (event.kind) {
    case "welcome":
      return welcomeLine(client, event.welcome);
    case "live":
      return { event: "live", seq: client.lastSeq, files: [...client.paths()] };
    case "text":
      return textLine(client, event, cause);
    case "lost-file":
      return { event: "lost-file", path: event.path, text: textContent(event.text) };
    case "comment": {
      const comment = client.comment(event.id);
      return comment === undefined
        ? { event: "comment-deleted", id: event.id }
        : { event: "comment", ...commentLine(comment) };
    }
    case "comments-reset":
      return { event: "comments", comments: [...client.comments()].map(commentLine) };
    case "custom":
      return customLine(event.message);
    case "roster":
      return rosterLine(client, cause);
    case "acked": {
      const { payload, seq, clientSeq } = event;
      const version = payload.case === "edit" ? client.file(payload.value.filePath)?.confirmed.version : undefined;
      return { event: "acked", seq, clientSeq, ...ownMessage(payload), ...(version === undefined ? {} : { version }) };
    }
    case "refused": {
      const { reason, message, payload } = event;
      return { event: "refused", reason, message, ...ownMessage(payload) };
    }
    case "uncertain":
      return { event: "uncertain", ...ownMessage(event.payload) };
    case "token-status": {
      const { state, expiresAt, scopes, reason } = event.status;
      return { event: "token", state: tokenStates[state] ?? unknown, expiresAt: Number(expiresAt), scopes, reason };
    }
    case "go-away": {
      const { reason, reconnectAfterMs } = event.goAway;
      return { event: "go-away", reason: goAwayReasons[reason] ?? unknown, afterMs: Number(reconnectAfterMs) };
    }
    case "fault":
      return { event: "fault", clientSeq: Number(event.fault.clientSeq), ...faultLine(event.fault) };
    case "protocol-error":
      return { event: "protocol-error", message: event.message };
    default:
      return assertNever(event);
  }
}

export function faultLine({ code, reason, message }: Fault): EndLine {
  return { code, reason, message };
}

function welcomeLine({ sessionId, userId, clientId }: SessionClient, welcome: Welcome): JoinEvent {
  const { outcome, headSeq, epoch, scopes, tokenExpiresAt, readerCount, streamId } = welcome;
  return {
    event: "welcome",
    session: sessionId,
    user: userId,
    client: clientId,
    outcome: outcomes[outcome] ?? unknown,
    head: Number(headSeq),
    epoch,
    scopes,
    tokenExpiresAt: Number(tokenExpiresAt),
    participants: welcome.participants.map((participant) => ({
      user: participant.userId,
      client: participant.clientId,
      name: participant.displayName,
      status: statuses[participant.status] ?? unknown,
    })),
    readers: readerCount,
    stream: streamId,
  };
}

function textLine(
  client: SessionClient,
  { path, changes, exists }: Extract<ClientEvent, { kind: "text" }>,
  cause: Cause,
): JoinEvent {
  const { exists: isConfirmed, version } = client.file(path)?.confirmed ?? { exists: false, version: 0 };
  const text = client.text(path);
  let first: number | undefined;
  changes.iterChangedRanges((_fromA, _toA, fromB) => {
    first ??= fromB;
  });
  const line = text?.lineAt(Math.min(first ?? 0, text.length)).number ?? 1;
  const isRecord = cause?.payload.case === "edit" && cause.payload.value.filePath === path && cause.seq > 0n;
  return {
    event: "text",
    path,
    exists,
    changes: listChanges(changes),
    line,
    ...(isRecord ? { seq: Number(cause.seq), user: cause.userId, client: cause.clientId } : {}),
    ...(isConfirmed ? { version } : {}),
  };
}

export function commentLine({ id, path, line, text, parentId, resolved, userId }: CommentState): CommentLine {
  return { id, path, line, text, parent: parentId, resolved, user: userId };
}

function customLine({ payload, userId, clientId, seq }: SessionMessage): JoinEvent | undefined {
  if (payload.case !== "custom") return undefined;
  const { type, data, ephemeral } = payload.value;
  const text = decodeText(data);
  return {
    event: "custom",
    type,
    data: Buffer.from(data).toString("base64"),
    ...(text === undefined ? {} : { text }),
    ephemeral,
    ...(seq > 0n ? { seq: Number(seq) } : {}),
    user: userId,
    client: clientId,
  };
}

function decodeText(data: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return undefined;
  }
}

function rosterLine(client: SessionClient, cause: Cause): JoinEvent | undefined {
  if (cause === undefined) return undefined;
  const { payload, userId, clientId } = cause;
  if (payload.case === "presence") return presenceLine(client, cause, payload.value);
  if (payload.case !== "cursor") return undefined;
  const { filePath, line, column, version, anchorLine, anchorColumn } = payload.value;
  const anchor = anchorLine === 0 ? {} : { anchorLine, anchorColumn };
  return { event: "cursor", user: userId, client: clientId, path: filePath, line, column, version, ...anchor };
}

function presenceLine(
  client: SessionClient,
  { userId, clientId }: SessionMessage,
  { displayName, status }: PresenceUpdate,
): JoinEvent {
  const known = [...client.roster()].find((one) => one.userId === userId && one.clientId === clientId);
  const name = displayName || known?.displayName || userId;
  return { event: "presence", user: userId, client: clientId, name, status: statuses[status] ?? unknown };
}

export function ownMessage(payload: LoggedPayload): OwnMessage {
  switch (payload.case) {
    case "edit":
      return { kind: "edit", path: payload.value.filePath };
    case "comment":
      return { kind: "comment", path: payload.value.filePath, id: payload.value.commentId };
    case "custom":
      return { kind: "custom", type: payload.value.type };
    default:
      return assertNever(payload);
  }
}
