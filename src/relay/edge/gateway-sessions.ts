import { fromBinary } from "@bufbuild/protobuf";
import { getLogger } from "@logtape/logtape";
import type { SessionLog } from "../../durable/session-log.ts";
import { DescribeSessionResponseSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../../session/reasons.ts";
import type { LiveSessions } from "../admin/live-sessions.ts";
import type { SessionObjects } from "./gateway.ts";

const logger = getLogger(["baton", "admin"]);

/** Sessions that are asked at once: a platform bounds how many calls one call may make, and each of these is one or two. */
const pageSessions = 100;

/** How long an operator waits for what every session is asked. */
const answerMs = 1_000;

export interface GatewaySessionsOptions {
  readonly objects: SessionObjects;
  readonly log: SessionLog;
  /** Has work done whose outcome no answer waits for. */
  readonly background: (work: Promise<unknown>) => void;
}

/** Who is in sessions, as their objects say. A session that is asked comes into memory for it. */
export function liveObjects({ objects, log, background }: GatewaySessionsOptions): LiveSessions {
  const countStreams = (sessionIds: readonly string[]) =>
    Promise.all(sessionIds.map((sessionId) => objects.countStreams(sessionId)));

  return {
    async describe(sessionId) {
      const described = await objects.describe(sessionId);
      return described === undefined ? undefined : fromBinary(DescribeSessionResponseSchema, described);
    },
    countStreams,
    async isThere(sessionId) {
      return (await objects.countStreams(sessionId)) > 0 || (await log.describe(sessionId)) !== undefined;
    },
    async disconnect(meant) {
      if (meant.sessionId !== "") return await objects.disconnect(meant);
      return await everywhere((sessionId) => objects.disconnect({ ...meant, sessionId }), "to the end");
    },
    // Whom it does not reach in time, their gateways find.
    endRevoked: (revocation) => everywhere((sessionId) => objects.endRevoked(sessionId, revocation), "while awaited"),
    // The object that deleted it has told its own.
    endEpoch: () => undefined,
  };

  /** Asks the object of every session that has a log, and tells what was answered in time. */
  async function everywhere(
    end: (sessionId: string) => Promise<number>,
    how: "to the end" | "while awaited",
  ): Promise<number> {
    let streams = 0;
    let isAwaited = true;
    // What is asked of a session that is gone would only wake its object.
    const endThere = async (sessionId: string) =>
      (await log.describe(sessionId)) === undefined ? 0 : await end(sessionId);
    const askAll = async () => {
      for (let after = ""; isAwaited || how === "to the end"; ) {
        // Names, since of sessions whose objects do not answer there would be no list.
        const page = await objects.names(after, pageSessions);
        for (const asked of await Promise.allSettled(page.map(endThere))) {
          if (asked.status === "fulfilled") streams += asked.value;
          else logger.warn("a session's object was not reached", { reason: reasonOf(asked.reason) });
        }
        const last = page.at(-1);
        if (last === undefined || page.length < pageSessions) return;
        after = last;
      }
    };
    const asking = askAll();
    background(
      asking.catch((error: unknown) => logger.error("the sessions cannot be listed", { reason: reasonOf(error) })),
    );
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, answerMs);
    });
    await Promise.race([asking, late]);
    clearTimeout(timer);
    isAwaited = false;
    return streams;
  }
}

const reasonOf = (error: unknown) => (error instanceof BatonError ? error.reason : "INTERNAL");
