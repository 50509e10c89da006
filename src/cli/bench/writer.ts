import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { SessionMessageSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import type { BareConnection } from "./bare-connection.ts";
import { type BareStream, newTally } from "./bare-stream.ts";
import { collaborate, decodeMessage, encodeMessage } from "./calls.ts";

/** The newest version of the file that anybody here has seen. */
export interface Seen {
  version: number;
}

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

/** One who types into the file that all type into; its next edit waits for the ack of its last. */
export class Writer {
  readonly #stream: BareStream;
  readonly #acked: (sentMs: number) => void;
  readonly #seen: Seen;
  #clientSeq = 0;
  #sentMs = 0;
  isJoined = false;
  isWaiting = false;

  constructor(connection: BareConnection, index: number, token: string, seen: Seen, acked: (sentMs: number) => void) {
    this.#seen = seen;
    this.#acked = acked;
    this.#stream = collaborate(connection, {
      token,
      tally: newTally(),
      join: { clientId: `w${index}` },
      onMessage: (bytes) => this.#hear(bytes),
    });
  }

  /** The client's number of the edit that it sends. */
  edit(): number {
    this.isWaiting = true;
    this.#clientSeq += 1;
    this.#sentMs = performance.now();
    const value = { filePath: "main.ts", version: this.#seen.version, changes: [{ from: 0, to: 0, insert: "x" }] };
    this.#stream.send(encodeMessage({ case: "edit", value }, this.#clientSeq));
    return this.#clientSeq;
  }

  #hear(bytes: Uint8Array): void {
    // The reader decodes these, for all.
    if (isEdit(bytes)) return;
    const { payload } = decodeMessage(bytes);
    if (payload.case === "welcome") this.isJoined = true;
    if (payload.case === "fault") throw new Error(`an edit was refused: ${payload.value.reason}`);
    if (payload.case !== "ack") return;
    this.#seen.version = Math.max(this.#seen.version, payload.value.version);
    this.isWaiting = false;
    this.#acked(this.#sentMs);
  }
}
