import type { OpenAudience } from "../../src/cli/bench/audience.ts";
import { newTally } from "../../src/cli/bench/bare-stream.ts";
import { until } from "../../src/cli/bench/calls.ts";
import { BareWebSocket } from "./bare-websocket.ts";
import { frameBytesOf } from "./frame-bytes.ts";

/** Of servers of WebSockets, each reader on its own. What is published is as long as the relay's frames. */
export const openWebSocketAudience: OpenAudience = async ({ port, subscribers, dataBytes }) => {
  const tally = newTally();
  const own = newTally();
  const ended: string[] = [];
  const onEnd = () => void ended.push("by the server");
  const sockets: BareWebSocket[] = [];
  for (let index = 0; index < subscribers; index++) {
    sockets.push(await BareWebSocket.open(port, "/subscribe", tally, onEnd));
  }
  const publisher = await BareWebSocket.open(port, "/publish", own, onEnd);
  sockets.push(publisher);
  await until(() => tally.messages >= subscribers && own.messages >= 1, "joins");
  const message = new Uint8Array(frameBytesOf(dataBytes));
  return {
    tally,
    subscribers,
    ended,
    publish: () => publisher.send(message),
    onChunk(handler) {
      for (const socket of sockets) socket.onChunk = handler;
    },
    close() {
      for (const socket of sockets) socket.close();
    },
  };
};
