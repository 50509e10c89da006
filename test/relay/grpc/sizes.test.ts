import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { Health } from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { batonErrorFrom } from "../../../src/relay/wire/errors.ts";
import { startRelay } from "../harness.ts";

describe("what health and reflection are asked", () => {
  const calls = {
    Check: async (baseUrl: string, name: string) => {
      const transport = createGrpcWebTransport({ baseUrl, httpVersion: "2" });
      await createClient(Health, transport).check({ service: name });
    },
    ServerReflectionInfo: async (baseUrl: string, name: string) => {
      const transport = createGrpcWebTransport({ baseUrl, httpVersion: "2" });
      async function* requests() {
        yield { messageRequest: { case: "fileContainingSymbol", value: name } } as const;
      }
      for await (const _answer of createClient(ServerReflection, transport).serverReflectionInfo(requests())) break;
    },
  };
  for (const [method, call] of Object.entries(calls)) {
    test(`HR14 is small: ${method}`, async () => {
      const relay = await startRelay();
      try {
        const reasonOf = (nameBytes: number) =>
          call(relay.url, "x".repeat(nameBytes)).then(
            () => "OK",
            (error: unknown) => batonErrorFrom(ConnectError.from(error))?.reason,
          );
        // A field's head has three bytes.
        assert.equal(await reasonOf(4096 - 2), "MESSAGE_TOO_LARGE");
        assert.equal(await reasonOf(4096 - 3), method === "Check" ? "SERVICE_NOT_FOUND" : "OK");
      } finally {
        await relay.stop();
      }
    });
  }
});
