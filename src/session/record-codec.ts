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

/** Of each field its number, looked up once. */
const message = {
  sessionId: SessionMessageSchema.field.sessionId.number,
  timestamp: SessionMessageSchema.field.timestamp.number,
  userId: SessionMessageSchema.field.userId.number,
  edit: SessionMessageSchema.field.edit.number,
  seq: SessionMessageSchema.field.seq.number,
  clientId: SessionMessageSchema.field.clientId.number,
  clientSeq: SessionMessageSchema.field.clientSeq.number,
  custom: SessionMessageSchema.field.custom.number,
  ack: SessionMessageSchema.field.ack.number,
};
const codeEdit = {
  filePath: CodeEditSchema.field.filePath.number,
  lineNumber: CodeEditSchema.field.lineNumber.number,
  content: CodeEditSchema.field.content.number,
  version: CodeEditSchema.field.version.number,
  changes: CodeEditSchema.field.changes.number,
  deleted: CodeEditSchema.field.deleted.number,
};
const textChange = {
  from: TextChangeSchema.field.from.number,
  to: TextChangeSchema.field.to.number,
  insert: TextChangeSchema.field.insert.number,
};
const customFields = {
  type: CustomSchema.field.type.number,
  data: CustomSchema.field.data.number,
  ephemeral: CustomSchema.field.ephemeral.number,
};
const ack = {
  clientSeq: AckSchema.field.clientSeq.number,
  seq: AckSchema.field.seq.number,
  version: AckSchema.field.version.number,
};

const isPlain = ({ $unknown }: Message): boolean => $unknown === undefined;

/** False: it is left to `toBinary`, and nothing was written. */
export function writeEdit(writer: WireWriter, edit: CodeEdit): boolean {
  if (!isPlain(edit) || !edit.changes.every(isPlain)) return false;
  writer.string(codeEdit.filePath, edit.filePath);
  writer.int32(codeEdit.lineNumber, edit.lineNumber);
  writer.string(codeEdit.content, edit.content);
  writer.int32(codeEdit.version, edit.version);
  for (const { from, to, insert } of edit.changes) {
    const start = writer.begin(codeEdit.changes);
    writer.unsigned(textChange.from, from);
    writer.unsigned(textChange.to, to);
    writer.string(textChange.insert, insert);
    writer.end(start);
  }
  writer.bool(codeEdit.deleted, edit.deleted);
  return true;
}

/** False: it is left to `toBinary`, and nothing was written. */
export function writeCustom(writer: WireWriter, custom: Custom): boolean {
  if (!isPlain(custom)) return false;
  writer.string(customFields.type, custom.type);
  writer.bytes(customFields.data, custom.data);
  writer.bool(customFields.ephemeral, custom.ephemeral);
  return true;
}

/** An edit or a custom message as a record. False: it is left to `toBinary`; what was written is to be forgotten. */
export function writeRecord(writer: WireWriter, record: SessionMessage): boolean {
  const { payload } = record;
  if (!isPlain(record) || (payload.case !== "edit" && payload.case !== "custom")) return false;
  let isWhole = true;
  writer.string(message.sessionId, record.sessionId);
  writer.unsigned(message.timestamp, Number(record.timestamp));
  writer.string(message.userId, record.userId);
  if (payload.case === "edit") {
    const start = writer.begin(message.edit);
    isWhole = writeEdit(writer, payload.value);
    writer.end(start);
  }
  writer.unsigned(message.seq, Number(record.seq));
  writer.string(message.clientId, record.clientId);
  writer.unsigned(message.clientSeq, Number(record.clientSeq));
  if (payload.case === "custom") {
    const start = writer.begin(message.custom);
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
  writer.string(message.sessionId, acked.sessionId);
  writer.unsigned(message.timestamp, acked.timestampMs);
  writer.string(message.userId, acked.userId);
  writer.string(message.clientId, acked.clientId);
  const start = writer.begin(message.ack);
  writer.unsigned(ack.clientSeq, acked.clientSeq);
  writer.unsigned(ack.seq, acked.seq);
  writer.int32(ack.version, acked.version);
  writer.end(start);
}
