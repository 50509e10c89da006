import { create, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { assertMayEnter, type Principal } from "../../auth/principal.ts";
import {
  type SessionMessage,
  SessionMessageSchema,
  type SubscribeRequestSchema,
} from "../../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../../session/reasons.ts";
import { assertSessionId } from "../join.ts";
import { isOriginal } from "../original-stream.ts";
import type { StreamCall, StreamHandler } from "../stream.ts";
import { countRefusal, letOthersGo, openConversation, openSubscription } from "../stream-opening.ts";
import { parseTraceparent } from "../traces/traceparent.ts";
import { CarriedStream } from "./carried-stream.ts";
import type { Gateway } from "./gateway.ts";
import type { Hello } from "./hop.ts";

/** `CollaborativeSession` at a gateway. */
export function carryConversation(gateway: Gateway): StreamHandler<typeof SessionMessageSchema> {
  return async (call) => {
    const opening = await countRefusal(gateway, call, openConversation(gateway, call));
    if (opening === undefined) return call.outlet.end();
    const { principal, first, inbound } = opening;
    const stream = await enter(gateway, call, { principal, first: first.message, carriage: "bidi" });
    stream.heard(first.bytes);
    try {
      for (let heard = 1; !stream.isOver; heard++) {
        const next = await inbound.next();
        if (next.done === true) {
          stream.finish();
          break;
        }
        stream.heard(next.value.bytes);
        await stream.send(next.value.message, next.value.bytes);
        await letOthersGo(gateway, stream.rate, heard);
      }
    } catch (error) {
      if (!call.signal.aborted) {
        stream.end(error instanceof BatonError ? error : new BatonError("INTERNAL", undefined, { cause: error }));
        throw error;
      }
    }
    await stream.ended;
  };
}

/** `Subscribe` at a gateway. */
export function carrySubscription(gateway: Gateway): StreamHandler<typeof SubscribeRequestSchema> {
  return async (call) => {
    const { principal, sessionId, join } = await countRefusal(gateway, call, openSubscription(gateway, call));
    const first = create(SessionMessageSchema, { sessionId, payload: { case: "join", value: join } });
    const stream = await enter(gateway, call, { principal, first, carriage: "split" });
    await stream.ended;
  };
}

interface Entering {
  readonly principal: Principal;
  readonly first: SessionMessage;
  readonly carriage: Hello["carriage"];
}

/** Whoever may not enter, or comes too often, wakes no object. */
async function enter(
  gateway: Gateway,
  call: Pick<StreamCall<never>, "outlet" | "signal" | "streamId" | "protocol" | "headers">,
  { principal, first, carriage }: Entering,
): Promise<CarriedStream> {
  return await countRefusal(gateway, call, carry());

  async function carry(): Promise<CarriedStream> {
    const { sessionId } = first;
    assertSessionId(sessionId);
    assertMayEnter(principal, sessionId);
    const { users, now } = gateway;
    users.of(principal.userId, now()).assertRate(now());
    const trace = parseTraceparent(call.headers);
    const hello = {
      sessionId,
      streamId: call.streamId,
      principal,
      carriage,
      protocol: call.protocol,
      form: call.outlet.form,
      region: gateway.objects.region(),
      first: base64Encode(toBinary(SessionMessageSchema, first)),
      ...(trace !== undefined && { trace }),
    };
    const stream = new CarriedStream(gateway, call, hello, isOriginal(first) ? "original" : "contract");
    await stream.open();
    return stream;
  }
}
