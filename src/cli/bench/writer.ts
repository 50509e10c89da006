import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type SessionMessage, SessionMessageSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import type { BareConnection } from "./bare-connection.ts";
import { type BareStream, newTally } from "./bare-stream.ts";
import { collaborate, decodeMessage, encodeMessage } from "./calls.ts";

/** The newest version of the file that anybody has seen. */
export interface Seen {
  version: number;
}

/** Letters that a writer types between two line breaks. */
const lineLength = 40;

const editField = SessionMessageSchema.field.edit.number;

/** Whether the message has an edit: told from its fields' numbers, 20,000 times a second. */
function isEdit(bytes: Uint8Array): boolean {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === editField && type === WireType.LengthDelimited) return true;
    reader.skip(type, field);
  }
  return false;
}

export interface WriterOptions {
  readonly token: string;
  readonly clientId: string;
  /** Default: the one session of a bench. */
  readonly session?: string | undefined;
  readonly filePath: string;
  /** Shared with those who are at the same relay: what it has told one of them, it knows of another. */
  readonly seen: Seen;
  readonly acked: (sentMs: number) => void;
  /** What others said; undefined: somebody else decodes it. */
  readonly heard?: ((message: SessionMessage) => void) | undefined;
}

/** One who types into a file that others may type into; its next edit waits for the ack of its last. */
export class Writer {
  readonly #stream: BareStream;
  readonly #options: WriterOptions;
  #clientSeq = 0;
  #sentMs = 0;
  isJoined = false;
  isWaiting = false;

  constructor(connection: BareConnection, options: WriterOptions) {
    this.#options = options;
    const { token, clientId, session } = options;
    this.#stream = collaborate(connection, {
      token,
      session,
      tally: newTally(),
      join: { clientId },
      onMessage: (bytes) => this.#hear(bytes),
    });
  }

  /** The client's number of the edit that it sends. */
  edit(): number {
    const { filePath, seen } = this.#options;
    this.isWaiting = true;
    this.#clientSeq += 1;
    this.#sentMs = performance.now();
    const insert = this.#clientSeq % lineLength === 0 ? "\n" : "x";
    const value = { filePath, version: seen.version, changes: [{ from: 0, to: 0, insert }] };
    this.#stream.send(encodeMessage({ case: "edit", value }, this.#clientSeq));
    return this.#clientSeq;
  }

  /** Says that it is there, which who says nothing else has to. */
  beat(): void {
    this.#stream.send(encodeMessage({ case: "heartbeat", value: {} }));
  }

  #hear(bytes: Uint8Array): void {
    const { heard, seen, acked, filePath } = this.#options;
    if (heard === undefined && isEdit(bytes)) return;
    const message = decodeMessage(bytes);
    const { payload } = message;
    if (payload.case === "edit") heard?.(message);
    if (payload.case === "welcome") this.isJoined = true;
    if (payload.case === "snapshot") {
      const file = payload.value.files.find((one) => one.filePath === filePath);
      seen.version = Math.max(seen.version, file?.version ?? 0);
    }
    if (payload.case === "fault") throw new Error(`an edit was refused: ${payload.value.reason}`);
    if (payload.case !== "ack") return;
    seen.version = Math.max(seen.version, payload.value.version);
    this.isWaiting = false;
    acked(this.#sentMs);
  }
}
