import { SessionMessageSchema, SubscribeRequestSchema } from "../src/gen/codereview/v1/codereview_pb.ts";
import { type Answer, type Way as BareWay, type Call, call, encode, type Method } from "../test/bad-input/ways.ts";
import type { Scene } from "./scene.ts";

/** The scene's way byte by byte: its calls, each on a connection of its own, and its one method that streams. */
export function bareOf({ way, entrance }: Scene): {
  readonly way: BareWay;
  readonly method: Method;
  call(options: Call): Promise<Answer>;
} {
  const { bare } = way;
  const at = { url: entrance.url, grpcUrl: entrance.url, httpVersion: entrance.httpVersion };
  return {
    way: bare,
    method: way.carriage === "split" ? "subscribe" : "collaborativeSession",
    call: (options) => call(at, bare, options),
  };
}

/** The message that opens a session by this method. */
export const firstOf = (way: BareWay, method: Method, sessionId: string): Uint8Array =>
  method === "subscribe"
    ? encode(way, SubscribeRequestSchema, { sessionId })
    : encode(way, SessionMessageSchema, { sessionId, payload: { case: "join", value: {} } });
