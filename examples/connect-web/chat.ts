import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import {
  Fault_Action as Action,
  CodeReviewService,
  type Fault,
  FaultSchema,
  Join_History as History,
  type SessionMessage,
  type SessionMessageSchema,
  TokenStatus_State as TokenState,
} from "../../src/gen/codereview/v1/codereview_pb.ts";

export interface ChatOptions {
  /** The relay's. */
  readonly url: string;
  readonly session: string;
  /** A token that is good for a while; asked for before each call. Where it rejects, the chat is over. */
  readonly token: () => Promise<string>;
  /** What others say, in the order of the log, each once. */
  readonly heard: (user: string, text: string) => void;
}

type Payload = NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>;

const encoder = new TextEncoder();
const pauseMs = 1_000;
/** Who only listens shows that it lives: the relay gives up a client of which it hears nothing for 150 s. */
const signOfLifeMs = 60_000;

/**
 * A participant in a browser, whose fetch cannot stream both ways: it listens on a stream and speaks by calls. It goes on
 * where it was over cuts of the connection and restarts of the relay.
 */
export function openChat({ url, session, token, heard }: ChatOptions) {
  const relay = createClient(CodeReviewService, createConnectTransport({ baseUrl: url }));
  const life = new AbortController();
  /** What was said here is known here: of its own messages this client is told their places alone. */
  const place = { resumeToken: "", lastSeq: 0n, pendingFrom: 1n };
  const welcomed = Promise.withResolvers<void>();
  let lastClientSeq = 0n;
  let lastCall = welcomed.promise.catch(() => undefined);

  async function callOptions() {
    return { signal: life.signal, headers: { authorization: `Bearer ${await token()}` } };
  }

  /** Waits, and all can be tried again; or it cannot, and the error is thrown. */
  async function pauseAfter(error: unknown): Promise<void> {
    const [fault] = ConnectError.from(error).findDetails(FaultSchema);
    const isFinal = fault?.action === Action.STOP || fault?.action === Action.DROP || fault?.action === Action.RESYNC;
    // A call that was overtaken by this client's own new stream goes again under that one's resume token.
    if (life.signal.aborted || (isFinal && fault.reason !== "SUPERSEDED")) throw error;
    await new Promise((resolve) => setTimeout(resolve, Math.max(pauseMs, Number(fault?.retryAfterMs ?? 0))));
  }

  function take({ userId, seq, payload }: SessionMessage): void {
    if (seq > 0n) place.lastSeq = seq;
    switch (payload.case) {
      case "welcome":
        place.resumeToken = payload.value.resumeToken;
        welcomed.resolve();
        break;
      case "ack":
        place.lastSeq = payload.value.seq;
        break;
      case "custom":
        heard(userId, new TextDecoder().decode(payload.value.data));
        break;
      case "tokenStatus":
        // The newer token on any call renews the stream's.
        if (payload.value.state === TokenState.EXPIRING) showLife();
        break;
    }
  }

  async function listen(): Promise<void> {
    for (;;) {
      const join = { ...place, history: History.FULL };
      const options = await callOptions();
      try {
        for await (const message of relay.subscribe({ sessionId: session, join }, options)) take(message);
      } catch (error) {
        await pauseAfter(error);
      }
    }
  }

  /** One call at a time. What is logged has a number: sent again under it, it is logged once. */
  function publish(payload: Payload, isLogged: boolean): Promise<void> {
    const call = lastCall.then(async () => {
      const clientSeq = isLogged ? lastClientSeq + 1n : 0n;
      for (;;) {
        const { resumeToken } = place;
        const request = { sessionId: session, resumeToken, messages: [{ clientSeq, payload }] };
        const options = await callOptions();
        try {
          const { replies } = await relay.publish(request, options);
          for (const reply of replies) if (reply.payload.case === "fault") throw errorFrom(reply.payload.value);
          if (isLogged) lastClientSeq = clientSeq;
          return;
        } catch (error) {
          await pauseAfter(error);
        }
      }
    });
    lastCall = call.catch(() => undefined);
    return call;
  }

  function showLife(): void {
    publish({ case: "heartbeat", value: {} }, false).catch(() => undefined);
  }
  const signsOfLife = setInterval(showLife, signOfLifeMs);

  function close(): void {
    clearInterval(signsOfLife);
    life.abort();
  }

  const over = listen().catch((error: unknown) => {
    welcomed.reject(error);
    close();
    throw error;
  });
  return {
    /** Rejects when the chat is closed, or to come back is no use. */
    over,
    /** Resolves when the log has it. */
    say: (text: string) => publish({ case: "custom", value: { type: "chat", data: encoder.encode(text) } }, true),
    close,
  };
}

const errorFrom = (fault: Fault) =>
  new ConnectError(fault.message, Code.FailedPrecondition, undefined, [{ desc: FaultSchema, value: fault }]);
