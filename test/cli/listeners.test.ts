import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { credentials } from "@grpc/grpc-js";
import { describeConfig } from "../../src/cli/command-check.ts";
import { type ConfigFlags, type Environment, readConfig } from "../../src/cli/config.ts";
import { findCertificateFault } from "../../src/cli/tls-settings.ts";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { describeFaults } from "../../src/runtime/config-faults.ts";
import { openGrpcClient, openGrpcStream } from "../support/grpc-js.ts";
import { createBench, repository } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

const tlsFile = (name: string) => join(repository, "test/support/tls", name);
const cert = tlsFile("localhost.pem");
const key = tlsFile("localhost.key");

async function faultsOf(environment: Environment, flags?: ConfigFlags): Promise<string> {
  const outcome = await readConfig(environment, flags);
  return outcome.kind === "faults" ? describeFaults(outcome.faults) : "";
}

async function configOf(environment: Environment, flags?: ConfigFlags) {
  const outcome = await readConfig(environment, flags);
  if (outcome.kind === "config") return outcome.config;
  throw new Error(describeFaults(outcome.faults));
}

describe("the settings of the listeners", () => {
  test("LS9 the port of native gRPC: 8081, another, any, or none", async () => {
    assert.equal((await configOf({})).grpcPort, 8081);
    assert.equal((await configOf({ BATON_GRPC_PORT: "0" })).grpcPort, 0);
    assert.equal((await configOf({ BATON_GRPC_PORT: "off" })).grpcPort, undefined);
    assert.equal((await configOf({ BATON_GRPC_PORT: "off" }, { grpcPort: "9000" })).grpcPort, 9000);
    for (const wrong of ["on", "-1", "65536", "8081.0"]) {
      assert.match(
        await faultsOf({ BATON_GRPC_PORT: wrong }),
        /^BATON_GRPC_PORT: must be off, or a whole number .*8081$/,
      );
    }
    assert.match(await faultsOf({ BATON_GRPC_PORT: "tcp://10.0.0.1:80" }), /^BATON_GRPC_PORT: .*enableServiceLinks/);
    assert.match(await faultsOf({ BATON_GRPC_SERVICE_HOST: "x" }), /enableServiceLinks/);
  });

  test("LS9 the two ports differ, unless any will do", async () => {
    assert.match(await faultsOf({ BATON_GRPC_PORT: "8080" }), /^BATON_GRPC_PORT: is the port of both listeners/);
    assert.match(await faultsOf({ BATON_PORT: "8081" }), /^BATON_PORT: is the port of both listeners/);
    await configOf({ BATON_PORT: "0", BATON_GRPC_PORT: "0" });
    assert.match(await faultsOf({ BATON_PORT: "8081", BATON_GRPC_PORT: "x" }), /^BATON_GRPC_PORT: must be .*$/);
  });

  test("LS9 a certificate and its key come together", async () => {
    assert.equal((await configOf({})).tls, undefined);
    const { tls } = await configOf({ BATON_TLS_CERT: cert, BATON_TLS_KEY: key });
    assert.deepEqual(tls, { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8"), certPath: cert });
    assert.match(await faultsOf({ BATON_TLS_CERT: cert }), /^BATON_TLS_CERT: is set without BATON_TLS_KEY/);
    assert.match(await faultsOf({ BATON_TLS_KEY: key }), /^BATON_TLS_KEY: is set without BATON_TLS_CERT/);
  });

  test("LS9 a certificate of another key is refused", async () => {
    const other = join(bench.folder(), "other.key");
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    writeFileSync(other, privateKey.export({ type: "pkcs8", format: "pem" }));
    const faults = await faultsOf({ BATON_TLS_CERT: cert, BATON_TLS_KEY: other });
    assert.match(faults, /^BATON_TLS_KEY: is not the key of the certificate in BATON_TLS_CERT; .*$/);
  });

  test("LS9 a certificate that has expired is refused, with the day", async () => {
    const faults = await faultsOf({ BATON_TLS_CERT: tlsFile("expired.pem"), BATON_TLS_KEY: key });
    assert.equal(faults, "BATON_TLS_CERT: has expired, on 2020-01-02; put a new certificate in its place");
  });

  test("LS9 a certificate is good from its first second to its last", () => {
    const pem = readFileSync(tlsFile("expired.pem"), "utf8");
    const at = (time: string) =>
      findCertificateFault({ path: "", pem, certificate: new X509Certificate(pem) }, Date.parse(time));
    assert.match(at("2019-12-31T23:59:59Z") ?? "", /^is not valid before 2020-01-01; /);
    assert.equal(at("2020-01-01T00:00:00Z"), undefined);
    assert.equal(at("2020-01-02T00:00:00Z"), undefined);
    assert.match(at("2020-01-02T00:00:01Z") ?? "", /^has expired, on 2020-01-02; /);
  });

  test("LS9 what is no certificate, or no key, is refused, and nothing of it is repeated", async () => {
    const folder = bench.folder();
    const garbage = join(folder, "PINEAPPLE");
    writeFileSync(garbage, "-----BEGIN PRIVATE KEY-----\nPINEAPPLE\n-----END PRIVATE KEY-----\n");
    const locked = join(folder, "locked.key");
    const options = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" } as const;
    writeFileSync(locked, generateKeyPairSync("ed25519").privateKey.export(options));
    for (const [certPath, keyPath] of [
      [garbage, key],
      [key, key],
      ["/nowhere", key],
    ] as const) {
      const faults = await faultsOf({ BATON_TLS_CERT: certPath, BATON_TLS_KEY: keyPath });
      assert.match(faults, /^BATON_TLS_CERT: is not the path of a readable PEM file .* with a certificate; give one$/);
    }
    for (const keyPath of [garbage, cert, locked, "/nowhere"]) {
      const faults = await faultsOf({ BATON_TLS_CERT: cert, BATON_TLS_KEY: keyPath });
      assert.match(faults, /^BATON_TLS_KEY: is not the path of a readable PEM file .* without a password$/);
      assert.doesNotMatch(faults, /PINEAPPLE/);
    }
  });

  test("LS9 check prints what is in force, and nothing of the key", async () => {
    const lines = describeConfig(await configOf({ BATON_TLS_CERT: cert, BATON_TLS_KEY: key, BATON_GRPC_PORT: "off" }));
    assert.match(lines, /^BATON_GRPC_PORT=off$/m);
    assert.ok(lines.includes(`\nBATON_TLS_CERT=${cert}\nBATON_TLS_KEY=(set)\n`));
    assert.match(
      describeConfig(await configOf({})),
      /^BATON_GRPC_PORT=8081\nBATON_TLS_CERT=\(not set\)\nBATON_TLS_KEY=\(not set\)$/m,
    );
  });
});

describe("a start with two ports", () => {
  const start = (env: Readonly<Record<string, string>> = {}) =>
    bench.baton(["start", "--port", "0"], { env: { BATON_DATA_DIR: join(bench.folder(), "data"), ...env } });
  const grpcUrl = /^Native gRPC: (https?:\/\/127\.0\.0\.1:\d+)$/m;
  const token = /^eyJ\S+$/m;

  test("LS10 prints both URLs, and native gRPC is served at the second", async () => {
    const run = start();
    await run.printed(/^Baton \S+ listens on http:\/\/127\.0\.0\.1:\d+$/m);
    const [, url = ""] = await run.printed(grpcUrl);
    const client = openGrpcClient(url);
    const [jwt] = await run.printed(token);
    const stream = openGrpcStream(client, CodeReviewService.method.readLog, {
      headers: { authorization: `Bearer ${jwt}` },
    });
    stream.call.end();
    assert.equal((await stream.ended).fault?.reason, "MALFORMED");
    client.close();
    run.child.kill("SIGTERM");
    assert.deepEqual(await run.exit, { code: 0, signal: null });
  });

  test("LS10 says so where native gRPC is off", async () => {
    const run = start({ BATON_GRPC_PORT: "off" });
    await run.printed(/^Native gRPC: off$/m);
  });

  test("LS10 a port of native gRPC that is in use is named, and ends with 1", async () => {
    const first = start();
    const [, url = ""] = await first.printed(grpcUrl);
    const second = start({ BATON_GRPC_PORT: new URL(url).port });
    assert.deepEqual(await second.exit, { code: 1, signal: null });
    assert.match(second.stderr, new RegExp(`^cannot listen on ${new URL(url).host}: .* BATON_GRPC_PORT$`, "m"));
  });

  test("LS10 under TLS both URLs are https, and the line to paste trusts the certificate", async () => {
    const folder = bench.folder();
    const certPath = join(folder, "it's mine.pem");
    copyFileSync(cert, certPath);
    const run = start({ BATON_TLS_CERT: certPath, BATON_TLS_KEY: key });
    await run.printed(/^Baton \S+ listens on https:\/\/127\.0\.0\.1:\d+$/m);
    const [line = ""] = await run.printed(/^curl .*$/m);
    assert.ok(line.includes(" --cacert "));
    const curl = bench.run("sh", ["-c", line]);
    await curl.printed(/welcome/);
    curl.child.kill("SIGTERM");
    const [, url = ""] = await run.printed(grpcUrl);
    assert.match(url, /^https:/);
    const client = openGrpcClient(url.replace("127.0.0.1", "localhost"), credentials.createSsl(readFileSync(cert)));
    const stream = openGrpcStream(client, CodeReviewService.method.collaborativeSession);
    assert.equal((await stream.ended).fault?.reason, "TOKEN_INVALID");
    client.close();
  });

  test("LS10 the commands of the terminal reach a relay under TLS", async () => {
    const dataDir = join(bench.folder(), "data");
    const run = start({ BATON_TLS_CERT: cert, BATON_TLS_KEY: key, BATON_DATA_DIR: dataDir });
    const [, url = ""] = await run.printed(/^Baton \S+ listens on (https:\S+)$/m);
    const args = ["join", "demo", "--sub", "alice", "--url", url, "--data-dir", dataDir];
    const joined = bench.baton(args, { env: { NODE_EXTRA_CA_CERTS: cert } });
    await joined.printed(/"event":"welcome"/);
    assert.deepEqual(await joined.exit, { code: 0, signal: null });
  });
});
