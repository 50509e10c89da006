import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";

const carol = { userId: "carol", clientId: "elsewhere" };

/** Puts records into a session's log as another instance does, behind `expectedHead` (default: the head). */
export async function appendBeside(
  log: SessionLog,
  sessionId: string,
  { count = 1, expectedHead, epoch = "e" }: { count?: number; expectedHead?: number; epoch?: string } = {},
): Promise<void> {
  const claim = await log.claim(sessionId, carol, epoch);
  const head = expectedHead ?? claim.head;
  const records = Array.from({ length: count }, (_, index) => {
    const message = create(SessionMessageSchema, {
      sessionId,
      ...carol,
      clientSeq: BigInt(claim.lastClientSeq + 1 + index),
      seq: BigInt(head + 1 + index),
      timestamp: BigInt(Date.now()),
      payload: { case: "custom", value: { type: "from elsewhere" } },
    });
    return { seq: head + 1 + index, frame: encodeFrame(SessionMessageSchema, message, "binary"), payloadHash: index };
  });
  const writers = [{ ...carol, generation: claim.generation, lastClientSeq: claim.lastClientSeq + count }];
  const outcome = await log.append(sessionId, { epoch: claim.epoch, expectedHead: head, records, writers });
  assert.equal(outcome.kind, "appended");
}
