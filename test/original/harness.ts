import { serveNode } from "../../src/runtime/node-http2.ts";
import type { Limits } from "../../src/session/limits.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { startRelay as startOurs, type TestRelay, type TokenOptions } from "../relay/harness.ts";
import { type Carrier, OriginalClient } from "./client.ts";
import type { OriginalMessage } from "./contract.ts";

/** A real relay, on a port for each kind of client. */
export async function startRelay(limits: Partial<Limits> = {}) {
  const relay: TestRelay = await startOurs({ limits });
  const grpc = await serveNode({
    host: "127.0.0.1",
    port: 0,
    limits: { ...defaultLimits, ...limits },
    fetch: (request, bindings) => relay.routes.fetch(request, bindings),
  });
  const clients = new Set<OriginalClient>();
  return {
    ...relay,
    /** A stream on which nothing has been said yet. */
    async open(carrier: Carrier, token: TokenOptions = {}): Promise<OriginalClient> {
      const client = new OriginalClient(
        carrier,
        carrier === "grpc-js" ? grpc.url : relay.url,
        await relay.token(token),
      );
      clients.add(client);
      return client;
    },
    /** One who says, as the article's client does, that it has joined. */
    async enter(
      carrier: Carrier,
      session: string,
      user: string,
      first: OriginalMessage = { presence: { status: "JOINED" } },
    ): Promise<OriginalClient> {
      const client = await this.open(carrier, { sub: user, sessions: [session] });
      client.send({ session_id: session, timestamp: Date.now(), user_id: user, ...first });
      return client;
    },
    async stop() {
      for (const client of clients) client.cut();
      await relay.stop();
      await grpc.stop(200);
    },
  };
}

export type OriginalRelay = Awaited<ReturnType<typeof startRelay>>;
