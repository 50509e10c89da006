import { getLogger } from "@logtape/logtape";
import { GoAway_Reason as GoAwayReason } from "../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../session/reasons.ts";
import type { Relay } from "./relay.ts";

const logger = getLogger(["baton", "relay"]);

/** Sends everybody away so that nothing is lost: they are told when to come back, and what they sent is answered. */
export async function drain(relay: Relay): Promise<void> {
  const { rooms, admission, limits } = relay;
  rooms.close(new BatonError("DRAIN"));
  admission.close(new BatonError("DRAIN"));
  let count = 0;
  for (const room of rooms.all) {
    for (const { reader } of room.participants.values()) {
      // Those who come back do so over as long a time as they were sent away in, not all at once.
      const spreadMs = BigInt(Math.floor(Math.random() * limits.drainMs));
      reader.tell({ case: "goAway", value: { reason: GoAwayReason.DRAIN, reconnectAfterMs: spreadMs } });
      count += 1;
    }
  }
  logger.info("draining", { streams: count });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limits.drainMs / 2);
  });
  const goodbyes = [...rooms.all].map(async (room) => {
    await room.pipeline.settled();
    await Promise.all([...room.participants.values()].map(({ reader }) => reader.flushed()));
  });
  await Promise.race([Promise.all(goodbyes), late]);
  clearTimeout(timer);
  for (const room of rooms.all) room.fail(new BatonError("DRAIN"));
}
