import { create } from "@bufbuild/protobuf";
import type { Snapshot, FileState as WireFile } from "../gen/codereview/v1/codereview_pb.ts";
import { FileStateSchema, SnapshotSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { encodeComment } from "./comment-codec.ts";
import type { FileState } from "./file.ts";
import type { CommentState, SessionState } from "./state.ts";
import { isWithinPair, lineBreak } from "./text.ts";

/**
 * UTF-16 code units of one part. In UTF-8 that is at most 96 KiB, and in JSON, where a control character takes six
 * bytes, at most 192 KiB: below the smallest sensible message limit of a client.
 */
const partUnits = 32 * 1024;
/** What the field names, numbers and punctuation of a part, a file's piece or a comment take in JSON, over six. */
const overheadUnits = 48;

/**
 * A state, as it is now, as the parts of a wire snapshot, at least one; all but the last say that more follows. The
 * parts are made one by one as they are asked for, from texts that never change: a slow reader costs what one part costs.
 */
export function snapshotParts(state: SessionState): Generator<Snapshot> {
  const { epoch } = state;
  const seq = BigInt(state.head);
  const files = [...state.files.values()].filter((file) => !file.deleted);
  const comments = [...state.comments.values()];
  return parts({ seq, epoch }, files, comments);
}

function* parts(
  place: Pick<Snapshot, "seq" | "epoch">,
  files: readonly FileState[],
  comments: readonly CommentState[],
): Generator<Snapshot> {
  const emptyUnits = overheadUnits + place.epoch.length;
  let part = create(SnapshotSchema, { ...place, more: true });
  let units = emptyUnits;
  for (const { add, cost } of items(files, comments)) {
    if (units + cost > partUnits && units > emptyUnits) {
      yield part;
      part = create(SnapshotSchema, { ...place, more: true });
      units = emptyUnits;
    }
    add(part);
    units += cost;
  }
  part.more = false;
  yield part;
}

interface Item {
  /** Units that it adds to a part. */
  readonly cost: number;
  add(part: Snapshot): void;
}

function* items(files: readonly FileState[], comments: readonly CommentState[]): Generator<Item> {
  for (const file of files) {
    for (const piece of pieces(file)) {
      const cost = overheadUnits + piece.filePath.length + piece.content.length;
      yield { cost, add: (part) => void part.files.push(piece) };
    }
  }
  for (const comment of comments) {
    const { id, text, path, parentId, userId } = comment;
    const cost = overheadUnits + id.length + text.length + path.length + parentId.length + userId.length;
    yield { cost, add: (part) => void part.comments.push(encodeComment(comment)) };
  }
}

/** A file's text in pieces that fit in a part with its name; no surrogate pair is split. */
function* pieces({ path: filePath, version, text }: FileState): Generator<WireFile> {
  const longest = partUnits - 4 * overheadUnits - filePath.length;
  let offset = 0;
  do {
    let to = Math.min(text.length, offset + longest);
    if (isWithinPair(text, to)) to -= 1;
    yield create(FileStateSchema, { filePath, version, content: text.sliceString(offset, to, lineBreak), offset });
    offset = to;
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
