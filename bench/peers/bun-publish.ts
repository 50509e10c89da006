// The peer of Bun itself: WebSockets that subscribe to a topic, and `publish`. What comes up goes down as it is.
import { announce } from "../../src/cli/bench/side-channel.ts";

const topic = "bench";

const server = Bun.serve<{ readonly subscribes: boolean }>({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, self) {
    const subscribes = new URL(request.url).pathname === "/subscribe";
    return self.upgrade(request, { data: { subscribes } }) ? undefined : new Response(null, { status: 426 });
  },
  websocket: {
    // Nothing is cut off or thrown away for a reader that is behind.
    backpressureLimit: 2 ** 30,
    open(socket) {
      if (socket.data.subscribes) socket.subscribe(topic);
      socket.send(new Uint8Array(1));
    },
    message(_, data) {
      server.publish(topic, data);
    },
  },
});
announce({ port: server.port ?? 0 });
