import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { after, before, describe, test } from "node:test";
import { endStreamFlag, endStreamFromJson } from "@connectrpc/connect/protocol-connect";
import { Join_History as History, SessionMessageSchema } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { bodyOf, decode, encode, wayOf } from "../../bad-input/ways.ts";
import { splitFrames } from "../../wire/frames.ts";
import { startEdge, type TestEdge } from "./harness.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

describe("a stream that ends well", () => {
  let edge: TestEdge;
  before(async () => {
    edge = await startEdge();
  });
  after(() => edge.stop());

  test("EG43 whoever is behind when their stream ends well still gets all of it, and its end", async () => {
    const records = 12;
    const data = new Uint8Array(32 * 1024);
    const writer = await edge.join({ as: "writer" });
    for (let n = 1; n <= records; n++) {
      writer.send({ case: "custom", value: { type: "t", data } }, { clientSeq: BigInt(n) });
    }
    await writer.takeMessage("ack", ({ payload }) => payload.case === "ack" && payload.value.seq === BigInt(records));
    const way = wayOf("Connect binary");
    const join = { case: "join", value: { history: History.FULL } };
    const body = bodyOf(
      way,
      "collaborativeSession",
      encode(way, SessionMessageSchema, { sessionId: "demo", payload: join }),
    );
    const connection = http2.connect(edge.url);
    const stream = connection.request({
      ":method": "POST",
      ":path": "/codereview.v1.CodeReviewService/CollaborativeSession",
      "content-type": way.streamType,
      authorization: `Bearer ${await edge.token({ sub: "late" })}`,
    });
    try {
      stream.end(body);
      // More than what the connection takes of what is not read, and less than the link does: its object is done with it.
      await pause(300);
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => void chunks.push(chunk));
      await once(stream, "end");
      const frames = splitFrames(Buffer.concat(chunks));
      const end = frames.find(({ flags }) => flags === endStreamFlag);
      assert.equal(end && endStreamFromJson(end.data).error, undefined);
      const kinds = frames.filter(({ flags }) => flags === 0).map(({ data }) => decode(way, data).payload.case);
      assert.equal(kinds.filter((kind) => kind === "custom").length, records);
      assert.ok(end !== undefined);
    } finally {
      connection.destroy();
      writer.cut();
    }
  });
});
