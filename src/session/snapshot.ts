import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { SessionSnapshot } from "../gen/baton/store/v1/store_pb.ts";
import { SessionSnapshotSchema } from "../gen/baton/store/v1/store_pb.ts";
import type { Comment, Snapshot } from "../gen/codereview/v1/codereview_pb.ts";
import { FileStateSchema, SnapshotSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { commentUnits } from "./comment.ts";
import { decodeComment, encodeComment } from "./comment-codec.ts";
import { absentFile, type FileState, fileUnits } from "./file.ts";
import type { Limits } from "./limits.ts";
import { type ClientEntry, clientKey, emptyState, type SessionState } from "./state.ts";
import { createText, textContent } from "./text.ts";

/** Clients that a snapshot remembers at most: the ones used last. One that was forgotten takes a new client id. */
const maxClients = 10_000;

/** A state as it is stored: what a room, or whoever folds the log, starts from. */
export function encodeSnapshot(state: SessionState, nowMs: number, limits: Limits): Uint8Array {
  const files = [...state.files.values()];
  const present = files.filter((file) => !file.deleted);
  return toBinary(
    SessionSnapshotSchema,
    create(SessionSnapshotSchema, {
      state: create(SnapshotSchema, {
        seq: BigInt(state.head),
        epoch: state.epoch,
        files: present.map((file) =>
          create(FileStateSchema, { filePath: file.path, version: file.version, content: textContent(file.text) }),
        ),
        comments: [...state.comments.values()].map(encodeComment),
      }),
      born: present.map((file) => file.born),
      deletedFiles: files
        .filter((file) => file.deleted)
        .map((file) => ({ filePath: file.path, version: file.version })),
      clients: rememberedClients(state, nowMs, limits).map(encodeClient),
      hasDocument: state.hasDocument,
      lastCustomSeq: BigInt(state.lastCustomSeq),
    }),
  );
}

/**
 * Forgets the clients that a snapshot made now leaves out. A room that lives on then knows what one that starts from the
 * snapshot knows, and does not gather everybody who ever wrote.
 */
export function forgetClients(state: SessionState, nowMs: number, limits: Limits): void {
  const remembered = new Set(rememberedClients(state, nowMs, limits));
  for (const client of [...state.clients.values()]) {
    if (!remembered.has(client)) state.clients.delete(clientKey(client.userId, client.clientId));
  }
}

function rememberedClients(state: SessionState, nowMs: number, limits: Limits): readonly ClientEntry[] {
  return [...state.clients.values()]
    .filter((client) => client.lastUsedMs > nowMs - limits.clientTtlMs)
    .sort((a, b) => b.lastUsedMs - a.lastUsedMs)
    .slice(0, maxClients);
}

/** The state that a stored snapshot tells. What its clients sent before is known by number alone, not by place. */
export function decodeSnapshot(sessionId: string, bytes: Uint8Array): SessionState {
  const stored = fromBinary(SessionSnapshotSchema, bytes);
  const snapshot = stored.state ?? create(SnapshotSchema);
  const state = emptyState(sessionId, snapshot.epoch);
  state.head = Number(snapshot.seq);
  state.hasDocument = stored.hasDocument;
  state.lastCustomSeq = Number(stored.lastCustomSeq ?? snapshot.seq);
  putFiles(state, stored, snapshot);
  for (const comment of snapshot.comments) putStoredComment(state, comment);
  for (const client of stored.clients) {
    const { userId, clientId } = client;
    const lastClientSeq = Number(client.lastClientSeq);
    const lastUsedMs = Number(client.lastUsedAt);
    state.clients.set(clientKey(userId, clientId), { userId, clientId, lastClientSeq, lastUsedMs, recent: undefined });
  }
  return state;
}

function encodeClient({ userId, clientId, lastClientSeq, lastUsedMs }: ClientEntry) {
  return { userId, clientId, lastClientSeq: BigInt(lastClientSeq), lastUsedAt: BigInt(lastUsedMs) };
}

function putFiles(state: SessionState, stored: SessionSnapshot, snapshot: Snapshot): void {
  const commentIds = new Map<string, string[]>();
  for (const { filePath, commentId } of snapshot.comments) {
    const ids = commentIds.get(filePath);
    if (ids === undefined) commentIds.set(filePath, [commentId]);
    else ids.push(commentId);
  }
  const fileAt = (path: string): FileState => ({ ...absentFile(path), commentIds: commentIds.get(path) ?? [] });
  for (const [index, file] of snapshot.files.entries()) {
    const text = createText(file.content);
    const { filePath: path, version } = file;
    const born = stored.born[index] ?? version;
    state.files.set(path, { ...fileAt(path), version, text, deleted: false, born });
    state.fileCount += 1;
    state.units += text.length;
  }
  for (const { filePath: path, version } of stored.deletedFiles) {
    const deleted = { ...fileAt(path), version };
    state.files.set(path, deleted);
    state.units += fileUnits(deleted);
  }
}

function putStoredComment(state: SessionState, comment: Comment): void {
  const restored = decodeComment(comment);
  state.comments.set(restored.id, restored);
  state.units += commentUnits(restored);
}
