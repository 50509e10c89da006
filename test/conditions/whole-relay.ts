import { createClient } from "@connectrpc/connect";
import { importSecret } from "../../src/auth/key-import.ts";
import { createKeySet } from "../../src/auth/keys.ts";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { CodeReviewService, type SessionMessage } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { LogChoice } from "../../src/runtime/open-log.ts";
import { startRelay } from "../../src/runtime/start-relay.ts";
import { defaultLimits, type Limits } from "../../src/session/limits.ts";
import { type Payload, Stream, secret, transports } from "../relay/harness.ts";
import { parseScrape } from "../relay/metrics/scrape.ts";

const everything = "session:edit session:comment session:custom";

export interface WholeJoin {
  readonly as: string;
  readonly session?: string;
  readonly clientId?: string;
  readonly resumeToken?: string;
  readonly lastSeq?: bigint;
  readonly pendingFrom?: bigint;
}

/** A relay as `baton start` makes it, in this process. */
export async function startWholeRelay(log: LogChoice, limits: Partial<Limits> = {}) {
  const imported = await importSecret(secret);
  if (imported.kind === "refused") throw new Error(imported.message);
  const place = { host: "127.0.0.1", port: 0, dataDir: "unused" };
  const keys = createKeySet(imported.keys);
  const { url, close } = await startRelay({
    ...place,
    log,
    keys,
    limits: { ...defaultLimits, drainMs: 20, ...limits },
  });
  const streams = new Set<Stream>();
  const client = createClient(CodeReviewService, transports.connect(url));
  const token = (sub: string, session = "demo") =>
    signDevelopmentToken(secret, { sub, sessions: [session], scope: everything, ttlSeconds: 3600 }, Date.now());
  return {
    url,
    client,
    token,
    async join({ as, session = "demo", ...fields }: WholeJoin): Promise<Stream> {
      const stream = new Stream(client, await token(as, session));
      streams.add(stream);
      stream.send({ case: "join", value: fields }, { sessionId: session });
      return stream;
    },
    /** The sum over its labels. */
    async metric(name: string): Promise<number> {
      return parseScrape(await (await fetch(`${url}/metrics`)).text()).sum(name);
    },
    async stop(): Promise<void> {
      for (const stream of streams) stream.cut();
      await close();
    },
  };
}

export type WholeRelay = Awaited<ReturnType<typeof startWholeRelay>>;

export const custom = (type: string): Payload => ({ case: "custom", value: { type } });

/** What `(epoch, seq)` means to whoever was told of it; throws where it means two things. */
export class Meanings {
  readonly #types = new Map<string, string>();

  note(epoch: string, messages: readonly SessionMessage[]): void {
    for (const { seq, payload } of messages) {
      if (payload.case !== "custom") continue;
      const place = `${epoch} ${seq}`;
      const known = this.#types.get(place) ?? payload.value.type;
      if (known !== payload.value.type) throw new Error(`${place} is ${known} and ${payload.value.type}`);
      this.#types.set(place, known);
    }
  }
}
