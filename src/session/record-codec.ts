import type { Message } from "@bufbuild/protobuf";
import {
  AckSchema,
  type CodeEdit,
  CodeEditSchema,
  type Custom,
  CustomSchema,
  type SessionMessage,
  SessionMessageSchema,
  TextChangeSchema,
} from "../gen/codereview/v1/codereview_pb.ts";
import type { WireWriter } from "./wire-writer.ts";

// Of all messages a relay encodes these by the thousand. They are written here, to the byte as `toBinary` writes them;
// where a message holds fields that this version does not know, it is left to that.

const field = {
  message: SessionMessageSchema.field,
  edit: CodeEditSchema.field,
  change: TextChangeSchema.field,
  custom: CustomSchema.field,
  ack: AckSchema.field,
};

const isPlain = ({ $unknown }: Message): boolean => $unknown === undefined;

/** False: it is left to `toBinary`, and nothing was written. */
export function writeEdit(writer: WireWriter, edit: CodeEdit): boolean {
  if (!isPlain(edit) || !edit.changes.every(isPlain)) return false;
  writer.string(field.edit.filePath.number, edit.filePath);
  writer.int32(field.edit.lineNumber.number, edit.lineNumber);
  writer.string(field.edit.content.number, edit.content);
  writer.int32(field.edit.version.number, edit.version);
  for (const { from, to, insert } of edit.changes) {
    const start = writer.begin(field.edit.changes.number);
    writer.unsigned(field.change.from.number, from);
    writer.unsigned(field.change.to.number, to);
    writer.string(field.change.insert.number, insert);
    writer.end(start);
  }
  writer.bool(field.edit.deleted.number, edit.deleted);
  return true;
}

/** False: it is left to `toBinary`, and nothing was written. */
export function writeCustom(writer: WireWriter, custom: Custom): boolean {
  if (!isPlain(custom)) return false;
  writer.string(field.custom.type.number, custom.type);
  writer.bytes(field.custom.data.number, custom.data);
  writer.bool(field.custom.ephemeral.number, custom.ephemeral);
  return true;
}

/** An edit or a custom message as a record. False: it is left to `toBinary`; what was written is to be forgotten. */
export function writeRecord(writer: WireWriter, record: SessionMessage): boolean {
  const { payload } = record;
  if (!isPlain(record) || (payload.case !== "edit" && payload.case !== "custom")) return false;
  let isWhole = true;
  writer.string(field.message.sessionId.number, record.sessionId);
  writer.unsigned(field.message.timestamp.number, Number(record.timestamp));
  writer.string(field.message.userId.number, record.userId);
  if (payload.case === "edit") {
    const start = writer.begin(field.message.edit.number);
    isWhole = writeEdit(writer, payload.value);
    writer.end(start);
  }
  writer.unsigned(field.message.seq.number, Number(record.seq));
  writer.string(field.message.clientId.number, record.clientId);
  writer.unsigned(field.message.clientSeq.number, Number(record.clientSeq));
  if (payload.case === "custom") {
    const start = writer.begin(field.message.custom.number);
    isWhole = writeCustom(writer, payload.value);
    writer.end(start);
  }
  return isWhole;
}

/** What one client is told of its own record. */
export interface AckRecord {
  readonly sessionId: string;
  readonly userId: string;
  readonly clientId: string;
  readonly timestampMs: number;
  readonly clientSeq: number;
  readonly seq: number;
  readonly version: number;
}

export function writeAck(writer: WireWriter, acked: AckRecord): void {
  writer.string(field.message.sessionId.number, acked.sessionId);
  writer.unsigned(field.message.timestamp.number, acked.timestampMs);
  writer.string(field.message.userId.number, acked.userId);
  writer.string(field.message.clientId.number, acked.clientId);
  const start = writer.begin(field.message.ack.number);
  writer.unsigned(field.ack.clientSeq.number, acked.clientSeq);
  writer.unsigned(field.ack.seq.number, acked.seq);
  writer.int32(field.ack.version.number, acked.version);
  writer.end(start);
}
