import { fromBinary } from "@bufbuild/protobuf";
import { type CursorPosition, SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { envelopeBytes } from "./wire/envelope.ts";

/** The cursor in a frame of another instance; undefined: it is none, or one of another version. */
export function readCursor(frame: Uint8Array): CursorPosition | undefined {
  try {
    const { payload } = fromBinary(SessionMessageSchema, frame.subarray(envelopeBytes));
    return payload.case === "cursor" ? payload.value : undefined;
  } catch {
    return undefined;
  }
}
