import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import net from "node:net";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import tls from "node:tls";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { credentials } from "@grpc/grpc-js";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { openGrpcClient, openGrpcStream } from "../support/grpc-js.ts";
import { customMessage, type Harness, type ListenerName, listenerHere, startHarness, typeOf } from "./harness.ts";

const read = (name: string) => readFileSync(join(import.meta.dirname, "../support/tls", name), "utf8");
const ca = read("localhost.pem");
const identity = { cert: ca, key: read("localhost.key") };

const running: Harness[] = [];
async function start(listener: ListenerName): Promise<Harness> {
  const harness = await startHarness({ listener, tls: identity });
  running.push(harness);
  return harness;
}
after(() => Promise.all(running.map((harness) => harness.stop())));

const listeners: readonly ListenerName[] = listenerHere === "Bun.serve" ? ["Bun.serve", "node:http2"] : ["node:http2"];
const nodeOptions = { ca };

async function echoed(transport: Transport): Promise<string[]> {
  async function* messages() {
    yield customMessage("a");
  }
  const got: string[] = [];
  for await (const message of createClient(CodeReviewService, transport).collaborativeSession(messages())) {
    got.push(typeOf(message));
  }
  return got;
}

for (const listener of listeners) {
  describe(`TLS, ${listener}`, () => {
    test("LS8 the client and the listener agree on a version by ALPN", async () => {
      const { port, url } = await start(listener);
      assert.match(url, /^https:\/\/127\.0\.0\.1:/);
      const agreed = (ALPNProtocols: string[]) =>
        new Promise<string | false | null>((resolve, reject) => {
          const socket = tls.connect({ port, host: "127.0.0.1", ca, ALPNProtocols }, () => {
            resolve(socket.alpnProtocol);
            socket.destroy();
          });
          socket.on("error", reject);
        });
      assert.equal(await agreed(["h2", "http/1.1"]), "h2");
      assert.equal(await agreed(["http/1.1"]), "http/1.1");
    });

    test("LS8 both versions are served, by clients that check the certificate", async () => {
      const { url } = await start(listener);
      const expected = ["heartbeat", "a"];
      for (const httpVersion of ["2", "1.1"] as const) {
        assert.deepEqual(await echoed(createConnectTransport({ baseUrl: url, httpVersion, nodeOptions })), expected);
        assert.deepEqual(await echoed(createGrpcWebTransport({ baseUrl: url, httpVersion, nodeOptions })), expected);
      }
    });

    test("LS8 cleartext on a port of TLS is cut off, and the listener goes on", async () => {
      const { port } = await start(listener);
      const socket = net.connect(port, "127.0.0.1");
      socket.on("error", () => undefined);
      const closed = new Promise((resolve) => socket.on("close", resolve));
      socket.resume().write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
      await closed;
      const status = await new Promise((resolve, reject) => {
        const call = request({ port, host: "127.0.0.1", path: "/nothing", ca, agent: false }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        call.on("error", reject);
        call.end();
      });
      assert.equal(status, 404);
    });
  });
}

test("LS8 native gRPC over TLS: connect-node and grpc-js", async () => {
  const { url } = await start("node:http2");
  assert.deepEqual(await echoed(createGrpcTransport({ baseUrl: url, nodeOptions })), ["heartbeat", "a"]);
  // grpc-js names the host in its hello, which TLS does not allow for an address.
  const client = openGrpcClient(url.replace("127.0.0.1", "localhost"), credentials.createSsl(Buffer.from(ca)));
  const { call, take, send, ended } = openGrpcStream(client, CodeReviewService.method.collaborativeSession);
  send(customMessage("b"));
  await take(({ payload }) => payload.case === "custom");
  call.end();
  assert.equal((await ended).code, 0);
  client.close();
});
