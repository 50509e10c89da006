// Stays in a session for as long as it runs, on one stream, under one short-lived token after another.
//   npx bun examples/token-backend/client.ts alice
import process from "node:process";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { z } from "zod";
import {
  CodeReviewService,
  type SessionMessageSchema,
  TokenStatus_State as TokenState,
} from "../../src/gen/codereview/v1/codereview_pb.ts";

const [user = "alice", session = "demo"] = process.argv.slice(2);
const backendUrl = process.env.BACKEND_URL ?? "http://127.0.0.1:4000";
const baseUrl = process.env.RELAY_URL ?? "http://127.0.0.1:8080";

type Message = MessageInitShape<typeof SessionMessageSchema>;

const grantSchema = z.object({ token: z.string(), refreshToken: z.string() });

async function ask(path: string, body: object) {
  const response = await fetch(backendUrl + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`the backend answers ${response.status}`);
  return grantSchema.parse(await response.json());
}

let grant = await ask("/login", { user });

/** The way up: what is written goes to the relay in its turn. */
const up = new TransformStream<Message, Message>();
const writer = up.writable.getWriter();
const send = (payload: NonNullable<Message["payload"]>) => void writer.write({ sessionId: session, payload });
async function* sent() {
  yield* up.readable;
}

const relay = createClient(CodeReviewService, createConnectTransport({ baseUrl, httpVersion: "2" }));
const headers = { authorization: `Bearer ${grant.token}` };
send({ case: "join", value: {} });
for await (const { payload, userId, seq } of relay.collaborativeSession(sent(), { headers })) {
  switch (payload.case) {
    case "heartbeat":
      if (payload.value.sentAt > 0n) send({ case: "heartbeat", value: { echo: payload.value.sentAt } });
      break;
    case "welcome":
      print({ welcome: payload.value.streamId });
      break;
    case "tokenStatus":
      if (payload.value.state === TokenState.EXPIRING) {
        grant = await ask("/refresh", { refreshToken: grant.refreshToken });
        send({ case: "tokenRotation", value: { token: grant.token } });
      } else {
        const isAccepted = payload.value.state === TokenState.ACCEPTED;
        print({ token: isAccepted ? "accepted" : "rejected", expiresAt: Number(payload.value.expiresAt) });
      }
      break;
    case "custom":
      print({ seq: Number(seq), user: userId, text: new TextDecoder().decode(payload.value.data) });
      break;
  }
}

function print(line: object): void {
  console.log(JSON.stringify(line));
}
