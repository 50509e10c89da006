import { type OpenAudience, relayGreetings } from "../../src/cli/bench/audience.ts";
import { newTally, type Tally } from "../../src/cli/bench/bare-stream.ts";
import { encodeMessage, readToken, until, writeToken } from "../../src/cli/bench/calls.ts";
import { BareWebSocket } from "./bare-websocket.ts";
import { frameBytesOf } from "./frame-bytes.ts";
import { openRelaySocket } from "./relay-socket.ts";

/** Of servers of WebSockets, each reader on its own. What is published is as long as the relay's frames. */
export const openWebSocketAudience: OpenAudience = async ({ port, subscribers, dataBytes }) => {
  const tally = newTally();
  const own = newTally();
  const ended: string[] = [];
  const onEnd = () => void ended.push("by the server");
  const sockets: BareWebSocket[] = [];
  for (let index = 0; index < subscribers; index++) {
    sockets.push(await BareWebSocket.open({ port, path: "/subscribe" }, counting(tally, onEnd)));
  }
  const publisher = await BareWebSocket.open({ port, path: "/publish" }, counting(own, onEnd));
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

/** A message is counted when its first byte is there: what is under way is less than one for each reader. */
const counting = (tally: Tally, ended: () => void) => ({
  message(bytes: number) {
    tally.messages += 1;
    tally.writes += 1;
    tally.bytes += bytes;
  },
  payload: () => undefined,
  ended,
});

/** Of the relay, over WebSockets: each reader on its own, read-only, and one more that publishes. */
export const openRelaySocketAudience: OpenAudience = async ({ port, subscribers, dataBytes }) => {
  const tally = newTally();
  const own = newTally();
  const ended: string[] = [];
  const onEnd = (text: string) => void ended.push(text);
  const sockets: BareWebSocket[] = [];
  const token = await readToken();
  for (let index = 0; index < subscribers; index++) {
    const { socket, stream } = await openRelaySocket(port, { token, tally, onEnd });
    stream.send(encodeMessage({ case: "join", value: {} }));
    sockets.push(socket);
  }
  const { socket, stream } = await openRelaySocket(port, { token: await writeToken("publisher"), tally: own, onEnd });
  stream.send(encodeMessage({ case: "join", value: {} }));
  sockets.push(socket);
  await until(() => tally.messages >= subscribers * relayGreetings && own.messages >= relayGreetings, "joins");
  const data = new Uint8Array(dataBytes);
  return {
    tally,
    subscribers,
    ended,
    publish: (count) => stream.send(encodeMessage({ case: "custom", value: { type: "b", data } }, count)),
    onChunk(handler) {
      for (const one of sockets) one.onChunk = handler;
    },
    close() {
      for (const one of sockets) one.close();
    },
  };
};
