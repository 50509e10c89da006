import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import type { OpenAudience } from "../../src/cli/bench/audience.ts";
import { spreadOver } from "../../src/cli/bench/audience.ts";
import { BareConnection } from "../../src/cli/bench/bare-connection.ts";
import { newTally, type Tally } from "../../src/cli/bench/bare-stream.ts";
import { collaboratePath, type Payload, sessionId, until } from "../../src/cli/bench/calls.ts";
import { PresenceUpdate_Status, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { envelop } from "../../src/relay/wire/envelope.ts";
import { frameBytesOf } from "./frame-bytes.ts";

/**
 * Of the original service, over native gRPC: everybody opens the one method that there is, says who they are, and is told
 * of all who come after. What is published is an edit of a line, as long as makes the frames as large as the relay's.
 */
export const openOriginalAudience: OpenAudience = async ({ port, subscribers, connections: count, dataBytes }) => {
  const connections: BareConnection[] = [];
  const ended: string[] = [];
  const tally = newTally();
  const open = (connection: BareConnection, userId: string, own: Tally) => {
    const stream = connection.stream({
      path: collaboratePath,
      contentType: "application/grpc",
      token: "none",
      tally: own,
      onEnd: () => void ended.push("by the server"),
    });
    stream.send(encode(userId, { case: "presence", value: { status: PresenceUpdate_Status.JOINED } }));
    return stream;
  };
  let joined = 0;
  for (const streams of spreadOver(subscribers, count)) {
    const connection = await BareConnection.open(port);
    connections.push(connection);
    for (let index = 0; index < streams; index++, joined++) open(connection, `reader-${joined}`, tally);
  }
  // Each join is told to all before it, by its join and by the message that it came with.
  const quiet = async () => {
    for (let before = -1; before !== tally.messages; ) {
      before = tally.messages;
      await sleep(100);
    }
  };
  await until(() => tally.messages >= subscribers - 1, "joins");
  await quiet();
  const publishing = await BareConnection.open(port);
  connections.push(publishing);
  const publisher = open(publishing, "publisher", newTally());
  await quiet();
  const line = encodeEdit(1);
  const content = "x".repeat(frameBytesOf(dataBytes) - line.length - (dataBytes > 127 ? 3 : 2));
  return {
    tally,
    subscribers,
    ended,
    publish: (number) => publisher.send(encodeEdit(number, content)),
    onChunk(handler) {
      for (const connection of connections) connection.onChunk = handler;
    },
    close() {
      for (const connection of connections) connection.close();
    },
  };
};

function encode(userId: string, payload: Payload): Uint8Array {
  const timestamp = BigInt(Date.now());
  const message = create(SessionMessageSchema, { sessionId, userId, timestamp, payload });
  return envelop(toBinary(SessionMessageSchema, message));
}

function encodeEdit(version: number, content = "x"): Uint8Array {
  return encode("publisher", { case: "edit", value: { filePath: "src/main.ts", lineNumber: 1, content, version } });
}
