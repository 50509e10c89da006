import assert from "node:assert/strict";
import http from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { ConfigurationError } from "../../src/cli/configuration-error.ts";
import { readTracing, requireSdk } from "../../src/cli/tracing.ts";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createBench } from "./run-baton.ts";

const bench = createBench();
const secret = "canary-PINEAPPLE-0123456789abcdef-0123456789";
const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
const [traceId, spanId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];

/** What was posted to a collector, by path. */
const posted: { readonly path: string; readonly body: string }[] = [];
const collector = http.createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8").on("data", (text: string) => {
    body += text;
  });
  request.on("end", () => {
    posted.push({ path: request.url ?? "", body });
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
});
let collectorUrl = "";
before(async () => {
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  const address = collector.address();
  assert.ok(address !== null && typeof address === "object");
  collectorUrl = `http://127.0.0.1:${address.port}`;
});
after(() => {
  collector.close();
  bench.clean();
});

async function start(env: Readonly<Record<string, string>>) {
  const settings = { BATON_DATA_DIR: join(bench.folder(), "data"), BATON_LOG: "memory", BATON_JWT_SECRET: secret };
  const run = bench.baton(["start", "--port", "0", "--grpc-port", "off"], { env: { ...settings, ...env } });
  const [, url = ""] = await run.printed(/^Baton \S+ listens on (http:\/\/\S+)$/m);
  return { run, url };
}

async function publish(url: string, headers: Readonly<Record<string, string>>): Promise<void> {
  const claims = { sub: "alice", sessions: ["demo"], scope: "session:custom", ttlSeconds: 60 };
  const authorization = `Bearer ${await signDevelopmentToken(new TextEncoder().encode(secret), claims, Date.now())}`;
  const client = createClient(CodeReviewService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
  const messages = [{ clientSeq: 1n, payload: { case: "custom", value: { type: "t" } } as const }];
  await client.publish({ sessionId: "demo", clientId: "tab", messages }, { headers: { authorization, ...headers } });
}

describe("spans of a relay that was started", () => {
  test("TR8 reach the collector that the environment names, the last of them before the process ends", async () => {
    const { run, url } = await start({ [endpoint]: collectorUrl, OTEL_SERVICE_NAME: "edge" });
    await publish(url, { traceparent: `00-${traceId}-${spanId}-01` });
    run.child.kill("SIGTERM");
    assert.deepEqual(await run.exit, { code: 0, signal: null });
    const told = posted.filter(({ path }) => path === "/v1/traces").map(({ body }) => body);
    assert.ok(told.length > 0);
    const all = told.join("\n");
    for (const text of ["baton.publish", "baton.append", traceId, spanId, '"edge"'])
      assert.ok(all.includes(text), text);
    assert.ok(!all.includes("PINEAPPLE"));
  });

  test("TR8 a collector that is not there stops nothing, and is told of once", async () => {
    const { run, url } = await start({ [endpoint]: "http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY: "50" });
    for (let n = 0; n < 3; n++) {
      await publish(url, { traceparent: `00-${traceId}-${spanId}-01` });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    run.child.kill("SIGTERM");
    assert.deepEqual(await run.exit, { code: 0, signal: null });
    assert.ok(run.logs.filter(({ message }) => message === "spans cannot be sent").length <= 1);
  });

  test("TR8 nothing is loaded or told where none is named", async () => {
    const { run } = await start({});
    run.child.kill("SIGTERM");
    await run.exit;
    assert.equal(
      run.logs.some(({ logger }) => logger === "baton.tracing"),
      false,
    );
  });
});

describe("the settings of tracing", () => {
  const faultOf = (environment: Readonly<Record<string, string>>) => {
    try {
      readTracing({ [endpoint]: "http://localhost:4318", ...environment });
    } catch (error) {
      assert.ok(error instanceof ConfigurationError);
      return error.message;
    }
    return assert.fail("it was taken");
  };

  test("TR8 none, where no endpoint is set or OpenTelemetry is switched off", () => {
    assert.equal(readTracing({}), undefined);
    assert.equal(readTracing({ [endpoint]: "" }), undefined);
    assert.equal(readTracing({ [endpoint]: "http://localhost:4318", OTEL_SDK_DISABLED: "TRUE" }), undefined);
  });

  test("TR8 the endpoint, who decides what is sampled, and the name", () => {
    const tracing = readTracing({ [endpoint]: "https://otel.example.com:4318/base" });
    assert.equal(tracing?.url.host, "otel.example.com:4318");
    assert.deepEqual([tracing?.sampler, tracing?.ratio, tracing?.serviceName], ["parentbased_always_on", 1, "baton"]);
    const other = readTracing({
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://127.0.0.1:4318/v1/traces",
      OTEL_TRACES_SAMPLER: "traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0.25",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    });
    assert.deepEqual([other?.sampler, other?.ratio], ["traceidratio", 0.25]);
  });

  test("TR8 what cannot be meant is named, without its value", () => {
    assert.match(faultOf({ [endpoint]: "grpc://PINEAPPLE" }), /^OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL/);
    assert.match(faultOf({ [endpoint]: "PINEAPPLE" }), /^OTEL_EXPORTER_OTLP_ENDPOINT/);
    assert.match(faultOf({ OTEL_EXPORTER_OTLP_PROTOCOL: "PINEAPPLE" }), /http\/json/);
    assert.match(faultOf({ OTEL_TRACES_SAMPLER: "PINEAPPLE" }), /one of parentbased_always_on/);
    for (const ratio of ["2", "-1", "x", "NaN"]) {
      assert.match(faultOf({ OTEL_TRACES_SAMPLER_ARG: ratio }), /from 0 to 1/);
    }
    for (const fault of [faultOf({ [endpoint]: "PINEAPPLE" }), faultOf({ OTEL_TRACES_SAMPLER: "PINEAPPLE" })]) {
      assert.ok(!fault.includes("PINEAPPLE"));
    }
  });

  test("TR8 check names the collector, or what is wrong with it", async () => {
    const good = bench.baton(["check"], { env: { [endpoint]: collectorUrl } });
    assert.deepEqual(await good.exit, { code: 0, signal: null });
    assert.ok(good.stdout.includes(`# Spans are sent to ${new URL(collectorUrl).host}`));
    const bad = bench.baton(["check"], { env: { [endpoint]: "nowhere" } });
    assert.deepEqual(await bad.exit, { code: 78, signal: null });
    assert.match(bad.stderr, /OTEL_EXPORTER_OTLP_ENDPOINT/);
  });

  test("TR8 what sends spans and is not installed is named, with what to install", async () => {
    const missing = async () => {
      throw Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
    };
    await assert.rejects(requireSdk(missing), (error) => {
      assert.ok(error instanceof ConfigurationError);
      assert.match(error.message, /npm install @opentelemetry\/sdk-trace/);
      return true;
    });
    const broken = async () => {
      throw new TypeError("broken");
    };
    await assert.rejects(requireSdk(broken), TypeError);
  });
});
