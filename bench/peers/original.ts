// The peer that the relay's contract grew from, as it was published, in other words: grpc-js; a map of participants for
// each session, and each message written to each of them (`call.write`), which encodes it each time; the last 1,000
// messages are kept for those who come late.
import { join } from "node:path";
import { loadPackageDefinition, Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { loadSync, type ServiceDefinition } from "@grpc/proto-loader";
import { announce } from "../../src/cli/bench/side-channel.ts";

interface Message {
  readonly session_id: string;
  readonly timestamp: number;
  readonly user_id: string;
  readonly payload?: string;
  edit?: { readonly version: number };
  readonly presence?: { readonly status: string };
}

type Call = ServerDuplexStream<Message, Message>;

interface Session {
  readonly participants: Map<string, Call>;
  documentVersion: number;
  readonly buffer: Message[];
}

const maxBuffered = 1_000;
const sessions = new Map<string, Session>();

function broadcast({ participants }: Session, message: Message, exceptUser: string): void {
  for (const [userId, call] of participants) {
    if (userId !== exceptUser && !call.destroyed) call.write(message);
  }
}

function presence(session_id: string, user_id: string, status: string): Message {
  return { session_id, timestamp: Date.now(), user_id, payload: "presence", presence: { status } };
}

function enter(sessionId: string, userId: string, call: Call): Session {
  const session = sessions.get(sessionId) ?? { participants: new Map(), documentVersion: 0, buffer: [] };
  sessions.set(sessionId, session);
  session.participants.set(userId, call);
  for (const message of session.buffer) call.write(message);
  broadcast(session, presence(sessionId, userId, "JOINED"), userId);
  return session;
}

function collaborate(call: Call): void {
  let here: { readonly session: Session; readonly sessionId: string; readonly userId: string } | undefined;
  call.on("data", (message: Message) => {
    const { session_id: sessionId, user_id: userId } = message;
    here ??= { session: enter(sessionId, userId, call), sessionId, userId };
    const { session } = here;
    if (message.edit !== undefined && message.payload === "edit") {
      session.documentVersion += 1;
      message.edit = { ...message.edit, version: session.documentVersion };
    }
    broadcast(session, message, here.userId);
    session.buffer.push(message);
    if (session.buffer.length > maxBuffered) session.buffer.shift();
  });
  const leave = () => {
    if (here === undefined) return;
    const { session, sessionId, userId } = here;
    session.participants.delete(userId);
    broadcast(session, presence(sessionId, userId, "LEFT"), userId);
    here = undefined;
  };
  call.on("end", () => {
    leave();
    call.end();
  });
  call.on("error", leave);
}

const path = join(import.meta.dirname, "../../test/original/codereview_original.proto");
const definition = loadSync(path, { keepCase: true, longs: Number, enums: String, oneofs: true });
loadPackageDefinition(definition);
const service = definition["codereview.v1.CodeReviewService"];
if (service === undefined || "format" in service) throw new Error("the proto has no service");

const server = new Server({ "grpc.max_concurrent_streams": 1_000 });
server.addService(service as ServiceDefinition, { CollaborativeSession: collaborate });
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  announce({ port });
});
