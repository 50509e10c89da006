import { BareStream, type StreamOptions } from "../../src/cli/bench/bare-stream.ts";
import { collaboratePath } from "../../src/cli/bench/calls.ts";
import { BareWebSocket } from "./bare-websocket.ts";

/** The relay's stream over a WebSocket of its own, counted frame by frame, as the bare connection counts its streams. */
export async function openRelaySocket(
  port: number,
  options: Omit<StreamOptions, "path" | "contentType">,
): Promise<{ readonly socket: BareWebSocket; readonly stream: BareStream }> {
  const opened = Promise.withResolvers<BareWebSocket>();
  const stream = new BareStream({ ...options, path: collaboratePath }, (bytes) => {
    void opened.promise.then((socket) => socket.send(bytes));
  });
  const request = {
    port,
    path: collaboratePath,
    headers: [`Authorization: Bearer ${options.token}`, "Sec-WebSocket-Protocol: baton.v1"],
  };
  const socket = await BareWebSocket.open(request, {
    message: () => stream.wrote(),
    payload: (chunk, from, to) => stream.take(chunk, from, to),
    ended: () => stream.end(),
  });
  opened.resolve(socket);
  return { socket, stream };
}
