// Joins a session over native gRPC, says one thing, and prints what comes until that is in the log.
//   TOKEN=... node examples/grpc-js/session.ts demo hello
import { join } from "node:path";
import process from "node:process";
import {
  type ClientDuplexStream,
  credentials,
  Metadata,
  makeClientConstructor,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { type AnyDefinition, loadSync, type ServiceDefinition } from "@grpc/proto-loader";

const [session = "demo", text = "hello"] = process.argv.slice(2);
const address = process.env.RELAY_GRPC ?? "127.0.0.1:8081";

/** What is read here of a message; `payload` names the one that is set. */
interface SessionMessage {
  readonly seq: string;
  readonly userId: string;
  readonly payload?: string;
  readonly heartbeat?: { readonly sentAt: string };
  readonly welcome?: { readonly clientId: string; readonly headSeq: string };
  readonly custom?: { readonly type: string; readonly data: Uint8Array };
  readonly ack?: { readonly clientSeq: string; readonly seq: string };
  readonly fault?: { readonly reason: string; readonly message: string };
}

const definitions = loadSync("codereview/v1/codereview.proto", {
  includeDirs: [join(import.meta.dirname, "../../proto")],
  defaults: true,
  enums: String,
  // A seq is below 2^53 only by promise: as text it is exact whatever it is.
  longs: String,
  oneofs: true,
});
const service = definitions["codereview.v1.CodeReviewService"];
if (!isService(service)) throw new Error("the proto has no CodeReviewService");
const Relay = makeClientConstructor(service, "CodeReviewService");
const relay = new Relay(address, credentials.createInsecure());

const metadata = new Metadata();
metadata.set("authorization", `Bearer ${process.env.TOKEN ?? ""}`);
const call: ClientDuplexStream<object, SessionMessage> = relay.CollaborativeSession?.(metadata);
call.write({ sessionId: session, join: { history: "LIVE" } });

call.on("data", ({ heartbeat, welcome, custom, ack, fault, userId, seq }: SessionMessage) => {
  if (heartbeat && heartbeat.sentAt !== "0") call.write({ heartbeat: { echo: heartbeat.sentAt } });
  if (welcome) {
    print({ welcome: { client: welcome.clientId, head: welcome.headSeq } });
    call.write({ clientSeq: 1, custom: { type: "chat", data: Buffer.from(text) } });
  }
  if (custom) print({ seq, user: userId, type: custom.type, text: Buffer.from(custom.data).toString() });
  if (ack) {
    print({ acked: { clientSeq: ack.clientSeq, seq: ack.seq } });
    call.end();
  }
  if (fault) print({ refused: fault.reason, message: fault.message });
});
call.on("error", ({ code, details }: ServiceError) => {
  console.error(`${status[code]}: ${details}`);
  process.exitCode = 1;
});
call.on("close", () => relay.close());

function print(line: object): void {
  console.log(JSON.stringify(line));
}

function isService(definition: AnyDefinition | undefined): definition is ServiceDefinition {
  return definition !== undefined && !("format" in definition);
}
