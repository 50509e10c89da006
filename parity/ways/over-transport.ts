import { createClient, type Transport } from "@connectrpc/connect";
import type { CarriageEnd } from "../../src/client/carriage.ts";
import { bidiCarriage } from "../../src/client/carriage-bidi.ts";
import { splitCarriage } from "../../src/client/carriage-split.ts";
import { endFromError } from "../../src/client/stream-error.ts";
import { CodeReviewService, type SessionMessage } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type OpenWay, withHeaders } from "./way.ts";

type Headers = Readonly<Record<string, string>>;

/** One stream both ways, by whatever transport. */
export function overBidi(transport: Transport, headers: Headers = {}): OpenWay {
  const client = createClient(CodeReviewService, withHeaders(transport, headers));
  const abort = new AbortController();
  return {
    carriage: bidiCarriage(client),
    async openSilently(token): Promise<CarriageEnd> {
      const options = { headers: { authorization: `Bearer ${token}` }, signal: abort.signal };
      try {
        for await (const _ of client.collaborativeSession(untilAborted(abort.signal), options));
        return {};
      } catch (error) {
        return endFromError(error);
      }
    },
    close: () => abort.abort(),
  };
}

/** A stream down and calls up. */
export function overSplit(transport: Transport, headers: Headers = {}): OpenWay {
  const client = createClient(CodeReviewService, withHeaders(transport, headers));
  return { carriage: splitCarriage(client, Date.now), close: () => undefined };
}

async function* untilAborted(signal: AbortSignal): AsyncGenerator<SessionMessage> {
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
