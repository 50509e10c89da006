import { after, describe } from "node:test";
import { testEncoding } from "../bad-input/encoding-suite.ts";
import { testIds } from "../bad-input/ids-suite.ts";
import type { Target, Tried } from "../bad-input/target.ts";
import { testTransport } from "../bad-input/transport-suite.ts";
import { ways } from "../bad-input/ways.ts";
import { missingWorkerd } from "./harness.ts";
import { startWorkerRelay, type WorkerRelay } from "./relay.ts";

const skip = missingWorkerd === "" ? false : missingWorkerd;

describe(`nonsense for a Worker${missingWorkerd === "" ? "" : ` (skipped: ${missingWorkerd})`}`, { skip }, () => {
  let running: Promise<WorkerRelay> | undefined;
  after(async () => await (await running)?.stop());

  const start = async (): Promise<Target> => {
    running ??= startWorkerRelay({
      BATON_LIMIT_MESSAGES_PER_SECOND: "1000000",
      BATON_LIMIT_MESSAGES_BURST: "1000000",
    });
    const relay = await running;
    return {
      url: relay.url,
      grpcUrl: relay.url,
      httpVersion: "1.1",
      token: relay.token,
      async headOf(session) {
        const headers = { authorization: `Bearer ${await relay.token({ sessions: ["*"], scope: "session:admin" })}` };
        const { sessions } = await relay.admin().listSessions({ prefix: session }, { headers });
        return Number(sessions.find(({ sessionId }) => sessionId === session)?.headSeq ?? 0n);
      },
      // Shared by all that follows.
      stop: async () => undefined,
    };
  };
  // Native gRPC is refused before anything is looked at.
  const tried: Tried = { start, ways: ways.filter(({ protocol }) => protocol !== "grpc"), mendsSocketText: true };
  testTransport(tried);
  testEncoding(tried);
  testIds(tried);
});
