import type { Client } from "@connectrpc/connect";
import type { CodeReviewService, SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import type { Carriage } from "./carriage.ts";
import { PushQueue } from "./push-queue.ts";
import { endFromError } from "./stream-error.ts";
import { tokenRotation } from "./token-message.ts";

/** One stream both ways, over a transport that is full duplex. */
export function bidiCarriage(client: Client<typeof CodeReviewService>): Carriage {
  return ({ join, token, listener }) => {
    const up = new PushQueue<SessionMessage>();
    const abort = new AbortController();
    up.push(join);

    async function read(): Promise<void> {
      const headers = { authorization: `Bearer ${token}` };
      try {
        for await (const message of client.collaborativeSession(up, { headers, signal: abort.signal })) {
          if (abort.signal.aborted) return;
          listener.received(message);
        }
        if (!abort.signal.aborted) listener.ended({});
      } catch (error) {
        if (!abort.signal.aborted) listener.ended(endFromError(error));
      } finally {
        up.end();
      }
    }
    void read();

    return {
      send: (message) => up.push(message),
      rotate: (next) => up.push(tokenRotation(next)),
      finish: () => up.end(),
      cut() {
        abort.abort();
        up.end();
      },
    };
  };
}
