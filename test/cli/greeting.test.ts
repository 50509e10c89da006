import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fromJsonString } from "@bufbuild/protobuf";
import { curlLine } from "../../src/cli/greeting.ts";
import { writeHelloRequest } from "../../src/cli/hello-request.ts";
import { reachableUrl } from "../../src/cli/hosts.ts";
import { SubscribeRequestSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createBench } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

describe("the line to paste", () => {
  test("CL11 makes sh send one Subscribe, whatever the folder is called", async () => {
    const folder = join(bench.folder(), "it's $HOME; a `folder`");
    mkdirSync(folder);
    const seen = Promise.withResolvers<{ method: string; path: string; type: string; bearer: string; body: Buffer }>();
    const server = createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray());
      const { "content-type": type = "", authorization: bearer = "" } = request.headers;
      seen.resolve({ method: request.method ?? "", path: request.url ?? "", type, bearer, body });
      response.end("\u0000fine");
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    try {
      const line = curlLine({
        url: `http://127.0.0.1:${address.port}`,
        token: "a.b.c",
        helloFile: await writeHelloRequest(folder),
        certPath: undefined,
      });
      assert.ok(line.startsWith("curl ") && !line.includes("\n"));
      const run = bench.run("sh", ["-c", line]);
      const request = await Promise.race([seen.promise, run.exit.then(() => assert.fail(run.stderr))]);
      assert.deepEqual(await run.exit, { code: 0, signal: null });
      assert.equal(run.stdout, "\u0000fine");
      assert.equal(request.method, "POST");
      assert.equal(request.path, "/codereview.v1.CodeReviewService/Subscribe");
      assert.equal(request.type, "application/connect+json");
      assert.equal(request.bearer, "Bearer a.b.c");
      assert.equal(request.body[0], 0);
      assert.equal(request.body.readUInt32BE(1), request.body.length - 5);
      const message = fromJsonString(SubscribeRequestSchema, request.body.subarray(5).toString());
      assert.equal(message.sessionId, "demo");
    } finally {
      server.close();
    }
  });

  test("CL11 goes to an address that can be reached", () => {
    assert.equal(reachableUrl("http://0.0.0.0:8080"), "http://127.0.0.1:8080");
    assert.equal(reachableUrl("http://[::]:8080"), "http://[::1]:8080");
    assert.equal(reachableUrl("http://10.0.0.0:80"), "http://10.0.0.0:80");
  });
});
