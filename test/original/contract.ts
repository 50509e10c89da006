// The original proto, read when the tests run, as the tools of its clients read it.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { createFileRegistry, type DescMethodBiDiStreaming, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { loadSync, type MethodDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import { type SessionMessage, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";

const serviceName = "codereview.v1.CodeReviewService";
const path = join(import.meta.dirname, "codereview_original.proto");
const definitions = loadSync(path, {
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});

/** For grpc-js. */
export const service = findService();
/** For protobuf-es. */
export const method = findMethod();

function findService(): ServiceDefinition {
  const service = definitions[serviceName];
  if (service === undefined || "format" in service) throw new Error("the proto has no service");
  return service;
}

function findMethod(): DescMethodBiDiStreaming {
  const buf = join(import.meta.dirname, "../../node_modules/.bin/buf");
  const set = fromBinary(FileDescriptorSetSchema, execFileSync(buf, ["build", path, "-o", "-"]));
  const method = createFileRegistry(set).getService(serviceName)?.method.collaborativeSession;
  const methodKind = method?.methodKind;
  if (method === undefined || methodKind !== "bidi_streaming") throw new Error("the proto has no such method");
  return { ...method, methodKind };
}

function codec(): MethodDefinition<object, object> {
  const method = service.CollaborativeSession;
  if (method === undefined) throw new Error("the proto has no such method");
  return method;
}

/** A message as a client of the original writes it. */
export interface OriginalMessage {
  readonly session_id?: string;
  readonly timestamp?: number;
  readonly user_id?: string;
  readonly edit?: { file_path: string; line_number: number; content: string; version?: number };
  readonly comment?: { comment_id: string; line_number: number; text: string };
  readonly cursor?: { file_path: string; line: number; column: number };
  readonly presence?: { status: "JOINED" | "ACTIVE" | "IDLE" | "LEFT" };
}

export function encode(message: OriginalMessage): Uint8Array {
  return codec().requestSerialize(message);
}

/** What such a client has read, as this contract has it: its fields are a part of ours. */
export function asOurs(message: object): SessionMessage {
  return fromBinary(SessionMessageSchema, codec().responseSerialize(message));
}
