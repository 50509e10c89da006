import { create } from "@bufbuild/protobuf";
import type { FileState, Snapshot } from "../gen/codereview/v1/codereview_pb.ts";
import { FileStateSchema, SnapshotSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { commentUnits } from "./comment.ts";
import type { FileState as SessionFile } from "./file.ts";
import { encodeComment } from "./snapshot.ts";
import type { CommentState, SessionState } from "./state.ts";
import { lineBreak } from "./text.ts";

/**
 * UTF-16 code units of text in one part. In UTF-8 that is at most 96 KiB, and in JSON, where a control character takes
 * six bytes, at most 192 KiB: below the smallest sensible message limit of a client.
 */
const partUnits = 32 * 1024;

/**
 * A state, as it is at this call, as the parts of a wire snapshot: at least one; all but the last say that more follows.
 * They are made one by one as they are asked for, from texts and comments that never change: a slow reader costs what
 * one part costs, whatever happens to the state meanwhile.
 */
export function snapshotParts(state: SessionState): Generator<Snapshot> {
  const files = [...state.files.values()].filter((file) => !file.deleted);
  return encodeParts(BigInt(state.head), state.epoch, files, [...state.comments.values()]);
}

function* encodeParts(
  seq: bigint,
  epoch: string,
  files: readonly SessionFile[],
  comments: readonly CommentState[],
): Generator<Snapshot> {
  let part = create(SnapshotSchema, { seq, epoch, more: true });
  let units = 0;
  function* add(put: (part: Snapshot) => void, cost: number): Generator<Snapshot> {
    if (units > 0 && units + cost > partUnits) {
      yield part;
      part = create(SnapshotSchema, { seq, epoch, more: true });
      units = 0;
    }
    put(part);
    units += cost;
  }
  for (const file of files) {
    for (const piece of pieces(file.text)) {
      const { path: filePath, version } = file;
      const encoded = create(FileStateSchema, { filePath, version, ...piece });
      yield* add((part) => part.files.push(encoded), piece.content.length + 64);
    }
  }
  for (const comment of comments) {
    yield* add((part) => part.comments.push(encodeComment(comment)), commentUnits(comment));
  }
  part.more = false;
  yield part;
}

function* pieces(text: {
  length: number;
  sliceString(from: number, to: number, lineSep: string): string;
}): Generator<Pick<FileState, "content" | "offset">> {
  let offset = 0;
  do {
    let content = text.sliceString(offset, Math.min(text.length, offset + partUnits), lineBreak);
    const lastUnit = content.charCodeAt(content.length - 1);
    if ((lastUnit & 0xfc00) === 0xd800 && content.length > 1) content = content.slice(0, -1);
    yield { content, offset };
    offset += content.length;
  } while (offset < text.length);
}

/** Puts the parts of one wire snapshot together, checking that they are of one, and come in order. */
export class SnapshotAssembly {
  #files = new Map<string, { version: number; content: string }>();
  #comments: Snapshot["comments"] = [];
  #first: Snapshot | undefined;

  /** Undefined while more parts follow. */
  add(part: Snapshot): AssembledSnapshot | undefined {
    this.#first ??= part;
    if (part.seq !== this.#first.seq || part.epoch !== this.#first.epoch) {
      throw new Error("a part of another snapshot came in between");
    }
    for (const { filePath, version, content, offset } of part.files) {
      const present = this.#files.get(filePath);
      if ((present?.content.length ?? 0) !== offset) throw new Error("a piece of a snapshot's file is missing");
      this.#files.set(filePath, { version, content: (present?.content ?? "") + content });
    }
    this.#comments.push(...part.comments);
    if (part.more) return undefined;
    const assembled = {
      seq: Number(part.seq),
      epoch: part.epoch,
      files: this.#files,
      comments: this.#comments,
    };
    this.#first = undefined;
    this.#files = new Map();
    this.#comments = [];
    return assembled;
  }
}

export interface AssembledSnapshot {
  readonly seq: number;
  readonly epoch: string;
  readonly files: ReadonlyMap<string, { readonly version: number; readonly content: string }>;
  readonly comments: Snapshot["comments"];
}
