import { create } from "@bufbuild/protobuf";
import { type SessionMessage, SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";

export function tokenRotation(token: string): SessionMessage {
  return create(SessionMessageSchema, { payload: { case: "tokenRotation", value: { token } } });
}
