import { type SessionMessage, SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { type AckRecord, writeAck, writeRecord } from "../session/record-codec.ts";
import { WireWriter } from "../session/wire-writer.ts";
import { encodeFrame, envelopeBytes } from "./wire/envelope.ts";

/** Used by one call after another, each of which begins with `clear`. */
const writer = new WireWriter();

/** A record as the binary frame that the log keeps and the ring holds. */
export function encodeRecord(record: SessionMessage): Uint8Array {
  begin();
  return writeRecord(writer, record) ? finish() : encodeFrame(SessionMessageSchema, record, "binary");
}

/** An Ack as a binary frame. */
export function encodeAck(acked: AckRecord): Uint8Array {
  begin();
  writeAck(writer, acked);
  return finish();
}

function begin(): void {
  writer.clear().skip(envelopeBytes);
}

/** The same envelope as `envelop` makes, in front of what was written behind its place. */
function finish(): Uint8Array {
  const frame = writer.copy();
  const length = frame.length - envelopeBytes;
  frame[0] = 0;
  frame[1] = length >>> 24;
  frame[2] = length >>> 16;
  frame[3] = length >>> 8;
  frame[4] = length;
  return frame;
}
