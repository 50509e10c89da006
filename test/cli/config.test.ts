import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Config, type ConfigFlags, type Environment, readConfig } from "../../src/cli/config.ts";
import { variableNames } from "../../src/cli/config-schema.ts";
import { describeFaults } from "../../src/runtime/config-faults.ts";
import { limitNames, limitVariable } from "../../src/runtime/limit-settings.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { certificate } from "../auth/issuer.ts";
import { createBench } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

const secret = "0123456789abcdef0123456789abcdef";

/** The lines that a person reads, in order. */
async function faultsOf(environment: Environment, flags?: ConfigFlags): Promise<readonly string[]> {
  const outcome = await readConfig(environment, flags);
  return outcome.kind === "faults" ? describeFaults(outcome.faults).split("\n") : [];
}

async function configOf(environment: Environment, flags?: ConfigFlags): Promise<Config> {
  const outcome = await readConfig(environment, flags);
  if (outcome.kind === "config") return outcome.config;
  throw new Error(describeFaults(outcome.faults));
}

async function assertFault(environment: Environment, variable: string, says: RegExp): Promise<void> {
  const faults = await faultsOf(environment);
  assert.equal(faults.length, 1, `one fault: ${faults.join("\n")}`);
  assert.match(faults[0] ?? "", new RegExp(`^${variable}: `));
  assert.match(faults[0] ?? "", says);
}

/** What else is set for a variable to be read that only one log needs. */
const storeOf = (variable: string): Environment => {
  if (variable.startsWith("UPSTASH_")) {
    return {
      BATON_LOG: "upstash",
      UPSTASH_REDIS_REST_URL: "https://eu1-calm-1.upstash.io",
      UPSTASH_REDIS_REST_TOKEN: "AbCdEf0123456789",
    };
  }
  return variable === "REDIS_URL" ? { BATON_LOG: "redis", REDIS_URL: "redis://127.0.0.1:6379" } : {};
};

describe("configuration", () => {
  test("CF1 nothing set is a sound configuration, with every limit's default", async () => {
    const config = await configOf({});
    assert.equal(config.host, "127.0.0.1");
    assert.equal(config.port, 8080);
    assert.equal(config.log, "sqlite");
    assert.deepEqual(config.key, { kind: "development" });
    assert.deepEqual(config.limits, defaultLimits);
  });

  test("CO6 origins are read as a list, each as browsers send it", async () => {
    assert.deepEqual((await configOf({})).allowedOrigins, []);
    const origins = ["https://app.example.com", "http://localhost:5173", "http://[::1]:8080", "capacitor://localhost"];
    assert.deepEqual((await configOf({ BATON_ALLOWED_ORIGINS: origins.join(",") })).allowedOrigins, origins);
    assert.deepEqual((await configOf({ BATON_ALLOWED_ORIGINS: ` ${origins.join(" , ")} ` })).allowedOrigins, origins);
  });

  test("CF2 every fault is told at once, each in its own line that names its variable", async () => {
    const faults = await faultsOf({
      BATON_HOST: "not a host",
      BATON_PORT: "65536",
      BATON_LOG: "postgres",
      BATON_JWT_SECRET: "short",
      BATON_RESUME_SECRET: "short",
      BATON_LOG_LEVEL: "loud",
      BATON_LIMIT_WRITERS: "none",
      BATON_LIMIT_DRAIN_MS: "9999999999",
      BATON_PROT: "8080",
      BATON_JWT_ISSUER: "",
      BATON_LIMIT_TOKEN_BYTES: "20000",
      UNRELATED: "x",
    });
    assert.deepEqual(faults.map((line) => line.split(":")[0]).sort(), [
      "BATON_HOST",
      "BATON_JWT_ISSUER",
      "BATON_JWT_SECRET",
      "BATON_LIMIT_DRAIN_MS",
      "BATON_LIMIT_TOKEN_BYTES",
      "BATON_LIMIT_WRITERS",
      "BATON_LOG",
      "BATON_LOG_LEVEL",
      "BATON_PORT",
      "BATON_PROT",
      "BATON_RESUME_SECRET",
    ]);
  });

  test("CF2 of a variable that is refused nothing more is told", async () => {
    await assertFault(
      { BATON_LIMIT_EDIT_BYTES: "x", BATON_LIMIT_MESSAGE_BYTES: "1000" },
      "BATON_LIMIT_EDIT_BYTES",
      /whole/,
    );
    await assertFault({ BATON_JWT_SECRET: "short", BATON_HOST: "0.0.0.0" }, "BATON_JWT_SECRET", /32 bytes/);
  });

  const refused: readonly (readonly [string, string, RegExp])[] = [
    ["BATON_HOST", "http://localhost", /IP address/],
    ["BATON_HOST", "[::1]", /without brackets/],
    ["BATON_PORT", "-1", /whole number/],
    ["BATON_PORT", "080", /whole number/],
    ["BATON_PORT", "1e3", /whole number/],
    ["BATON_PORT", "65536", /65535/],
    ["BATON_PORT", "tcp://10.0.0.1:8080", /enableServiceLinks/],
    ["BATON_DATA_DIR", "a\nb", /control characters/],
    ["BATON_LOG", "postgres", /sqlite or memory/],
    ["BATON_JWT_SECRET", "0123456789abcdef0123456789abcde", /32 bytes/],
    ["BATON_JWT_SECRET", `${secret}\n`, /white space/],
    ["BATON_JWT_SECRET", `-----BEGIN PUBLIC KEY-----${secret}`, /PEM/],
    ["BATON_JWT_PUBLIC_KEY", "/nowhere/key.pem", /readable file/],
    ["BATON_JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", /P-256/],
    ["BATON_RESUME_SECRET", "short", /32 bytes/],
    ["BATON_METRICS_TOKEN", "too-short", /16 to 256/],
    ["BATON_METRICS_TOKEN", `with a space ${"x".repeat(20)}`, /openssl/],
    ["BATON_METRICS_TOKEN", "x".repeat(300), /16 to 256/],
    ["BATON_JWT_ISSUER", "x".repeat(257), /256/],
    ["BATON_JWT_AUDIENCE", "a\u0007", /control/],
    ["BATON_ALLOWED_ORIGINS", "null", /cannot allow null/],
    ["BATON_ALLOWED_ORIGINS", "https://app.example.com,null", /cannot allow null/],
    ["BATON_ALLOWED_ORIGINS", "*", /no wildcards/],
    ["BATON_ALLOWED_ORIGINS", "https://*.example.com", /no wildcards/],
    ["BATON_ALLOWED_ORIGINS", "example.com", /scheme:\/\/host/],
    ["BATON_ALLOWED_ORIGINS", "https://a.example,", /scheme:\/\/host/],
    ["BATON_ALLOWED_ORIGINS", "https://a.example https://b.example", /scheme:\/\/host/],
    ["BATON_ALLOWED_ORIGINS", "https://", /scheme:\/\/host/],
    ["BATON_ALLOWED_ORIGINS", "mailto:a@example.com", /scheme:\/\/host/],
    ["BATON_ALLOWED_ORIGINS", "file:///", /scheme:\/\/host/],
    ["BATON_ALLOWED_ORIGINS", "file://", /scheme:\/\/host/],
    ["BATON_ALLOWED_ORIGINS", "https://a.example/", /no slash at the end/],
    ["BATON_ALLOWED_ORIGINS", "https://a.example/path", /no path/],
    ["BATON_ALLOWED_ORIGINS", "https://a.example?q", /no path/],
    ["BATON_ALLOWED_ORIGINS", "https://me@a.example", /no user/],
    ["BATON_ALLOWED_ORIGINS", "https://a.example:443", /scheme's own/],
    ["BATON_ALLOWED_ORIGINS", "https://A.example", /lower case/],
    ["BATON_LOG_LEVEL", "verbose", /one of trace, debug/],
    ["BATON_LIMIT_READERS", "0", /from 1 to/],
    ["BATON_LIMIT_READERS", "1.5", /digits alone/],
    ["BATON_LIMIT_READERS", "9007199254740993", /9007199254740991/],
    ["BATON_LIMIT_IDLE_MS", "2147483648", /timer/],
    ["BATON_LIMIT_MESSAGES_PER_SECOND", "4294967296", /32 bits/],
    ["BATON_LIMIT_MESSAGE_BYTES", "1000", /an edit of the size allowed would not fit in a message/],
    ["BATON_LIMIT_UNACKED_BYTES", "1000", /could never be sent/],
    ["BATON_LIMIT_CLIENT_TTL_MS", "1000", /forgotten while its resume token is still good/],
  ];
  for (const [variable, value, says] of refused) {
    test(`CF3 ${variable} refuses ${JSON.stringify(value.slice(0, 40))}`, () =>
      assertFault({ [variable]: value }, variable, says));
  }

  for (const variable of variableNames) {
    test(`CF3 ${variable} refuses to be empty`, () =>
      assertFault({ ...storeOf(variable), [variable]: " " }, variable, /empty/));
  }

  const stores: readonly (readonly [string, string, RegExp])[] = [
    ["REDIS_URL", "http://127.0.0.1:6379", /redis:/],
    ["REDIS_URL", "redis://127.0.0.1:6379/zero", /redis:/],
    ["REDIS_URL", "redis://user:100%@host", /%XX/],
    ["REDIS_URL", "rediss://host?tls=no", /rediss:/],
    ["UPSTASH_REDIS_REST_URL", "redis://host", /https/],
    ["UPSTASH_REDIS_REST_TOKEN", "with a space in it", /token/],
    ["BATON_REDIS_PREFIX", "{a}:", /letters/],
  ];
  for (const [variable, value, says] of stores) {
    test(`CF16 ${variable} refuses ${value}`, () =>
      assertFault({ ...storeOf(variable), [variable]: value }, variable, says));
  }

  test("CF16 a log in a Redis needs what says where it is, and knows what it is given", async () => {
    await assertFault({ BATON_LOG: "redis" }, "REDIS_URL", /not set/);
    await assertFault(
      { ...storeOf("UPSTASH_REDIS_REST_URL"), UPSTASH_REDIS_REST_TOKEN: undefined },
      "UPSTASH_REDIS_REST_TOKEN",
      /not set/,
    );
    const url = "rediss://relay:pass%20word@redis.example.com:6380/2";
    assert.deepEqual((await configOf({ BATON_LOG: "redis", REDIS_URL: url, BATON_REDIS_PREFIX: "acme:" })).log, {
      kind: "redis",
      url,
      prefix: "acme:",
    });
    assert.deepEqual((await configOf(storeOf("UPSTASH_REDIS_REST_URL"), { log: "memory" })).log, "memory");
    assert.deepEqual((await configOf(storeOf("UPSTASH_REDIS_REST_URL"))).log, {
      kind: "upstash",
      url: "https://eu1-calm-1.upstash.io",
      token: "AbCdEf0123456789",
      prefix: "baton:",
    });
  });

  test("CF16 what is set of a Redis for other programs says nothing to a log elsewhere", async () => {
    const others = { REDIS_URL: "not one", UPSTASH_REDIS_REST_URL: "", UPSTASH_REDIS_REST_TOKEN: "x" };
    assert.equal((await configOf(others)).log, "sqlite");
    assert.equal((await configOf({ ...others, ...storeOf("REDIS_URL") })).log instanceof Object, true);
  });

  test("CF4 a name that means nothing is a fault, and tells which was meant", async () => {
    await assertFault({ BATON_LIMIT_MESAGE_BYTES: "1" }, "BATON_LIMIT_MESAGE_BYTES", /BATON_LIMIT_MESSAGE_BYTES\?/);
    await assertFault({ BATON_MESSAGE_BYTES: "1" }, "BATON_MESSAGE_BYTES", /BATON_LIMIT_MESSAGE_BYTES\?/);
    await assertFault({ BATON_JWT_SECERT: "1" }, "BATON_JWT_SECERT", /BATON_JWT_SECRET\?/);
    await assertFault({ BATON_WEATHER: "1" }, "BATON_WEATHER", /unset it/);
    await assertFault({ BATON_SERVICE_HOST: "1" }, "BATON_SERVICE_HOST", /enableServiceLinks/);
  });

  test("CF4 a name cannot write to the terminal", async () => {
    const faults = await faultsOf({ "BATON_\u001b[2J\nBATON_OK": "1" });
    assert.equal(faults.length, 1);
    assert.match(faults[0] ?? "", /^BATON_\?\[2J\?BATON_OK: /);
  });

  test("CF5 each limit has the variable of its name, and takes what it is given", async () => {
    assert.equal(limitVariable("messageBytes"), "BATON_LIMIT_MESSAGE_BYTES");
    assert.equal(limitVariable("streamsPerConnection"), "BATON_LIMIT_STREAMS_PER_CONNECTION");
    assert.deepEqual([...limitNames].sort(), Object.keys(defaultLimits).sort());
    const doubled = Object.fromEntries(limitNames.map((name) => [limitVariable(name), `${defaultLimits[name] * 2}`]));
    const { limits } = await configOf(doubled);
    for (const name of limitNames) assert.equal(limits[name], defaultLimits[name] * 2, name);
  });

  test("CF6 reached from other machines without a key is a fault", async () => {
    for (const host of ["0.0.0.0", "::", "192.168.1.5", "relay.example", "127.example", "128.0.0.1"]) {
      await assertFault({ BATON_HOST: host }, "BATON_HOST", /no key is set/);
      await configOf({ BATON_HOST: host, BATON_JWT_SECRET: secret });
    }
    for (const host of ["127.0.0.1", "127.8.9.1", "::1", "localhost"]) await configOf({ BATON_HOST: host });
  });

  test("CF7 a flag stands before the environment, and its faults name the flag", async () => {
    const config = await configOf({ BATON_PORT: "nonsense", BATON_HOST: "127.0.0.1" }, { port: "9000", host: "::1" });
    assert.equal(config.port, 9000);
    assert.equal(config.host, "::1");
    const faults = await faultsOf({}, { port: "x", log: "x", host: "0.0.0.0", dataDir: "" });
    assert.deepEqual(faults.map((line) => line.split(":")[0]).sort(), ["--data-dir", "--host", "--log", "--port"]);
  });

  test("CF8 a public key comes as PEM, in one line, as JWK, or as the path of a file", async () => {
    const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const ed = generateKeyPairSync("ed25519");
    const pem = ec.publicKey.export({ type: "spki", format: "pem" }).toString();
    const path = join(bench.folder(), "key.pem");
    writeFileSync(path, pem);
    const texts = [
      pem,
      pem.replaceAll("\n", "\\n"),
      path,
      JSON.stringify(ed.publicKey.export({ format: "jwk" })),
      ed.publicKey.export({ type: "spki", format: "pem" }).toString(),
    ];
    const algorithms: string[] = [];
    for (const text of texts) {
      const { key } = await configOf({ BATON_JWT_PUBLIC_KEY: text });
      assert.equal(key.kind, "public");
      if (key.kind === "public") algorithms.push(key.keys[0]?.algorithms[0] ?? "");
    }
    assert.deepEqual(algorithms, ["ES256", "ES256", "ES256", "EdDSA", "EdDSA"]);
    const privatePem = ec.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    await assertFault({ BATON_JWT_PUBLIC_KEY: privatePem }, "BATON_JWT_PUBLIC_KEY", /private key/);
  });

  test("CF8 one kind of key at a time; the resume secret is another one", async () => {
    const { publicKey } = generateKeyPairSync("ed25519");
    const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
    await assertFault(
      { BATON_JWT_SECRET: secret, BATON_JWT_PUBLIC_KEY: pem },
      "BATON_JWT_SECRET",
      /together with BATON_JWT_PUBLIC_KEY/,
    );
    await assertFault({ BATON_JWT_SECRET: secret, BATON_RESUME_SECRET: secret }, "BATON_RESUME_SECRET", /its own/);
  });

  test("CF8 a file may have several keys and certificates", async () => {
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const path = join(bench.folder(), "keys.pem");
    writeFileSync(path, `${certificate}${publicKey.export({ type: "spki", format: "pem" })}`);
    const { key } = await configOf({ BATON_JWT_PUBLIC_KEY: path });
    assert.ok(key.kind === "public");
    assert.deepEqual(
      key.keys.flatMap(({ algorithms }) => algorithms),
      ["ES256", "RS256", "PS256"],
    );
    writeFileSync(path, `${certificate.repeat(16)}${certificate}`);
    await assertFault({ BATON_JWT_PUBLIC_KEY: path }, "BATON_JWT_PUBLIC_KEY", /1 to 16 PEM blocks/);
  });

  test("CF13 the URL of a key set is https, without credentials or fragment", async () => {
    for (const url of [
      "https://id.example/keys",
      "https://10.0.0.1:8443/a?b=c",
      "HTTPS://ID.EXAMPLE",
      "https://[::1]/",
    ]) {
      const { key } = await configOf({ BATON_JWKS_URL: url });
      assert.ok(key.kind === "jwks");
      assert.equal(key.url.href, new URL(url).href);
    }
    for (const url of [
      "http://id.example/keys",
      "http://127.0.0.1/keys",
      "https://user@id.example/",
      "https://user:PINEAPPLE@id.example/",
      "https://:PINEAPPLE@id.example/",
      "https://id.example/keys#PINEAPPLE",
      "https://id.example/keys#",
      "https://",
      "id.example/keys",
      "file:///etc/keys.json",
      "data:application/json,{}",
      "PINEAPPLE",
    ]) {
      await assertFault({ BATON_JWKS_URL: url }, "BATON_JWKS_URL", /begins with https:\/\/, without credentials/);
      assert.doesNotMatch((await faultsOf({ BATON_JWKS_URL: url })).join(), /PINEAPPLE/);
    }
  });

  test("CF13 of the secret, the public keys and the URL one is set", async () => {
    const { publicKey } = generateKeyPairSync("ed25519");
    const all = {
      BATON_JWT_SECRET: secret,
      BATON_JWT_PUBLIC_KEY: publicKey.export({ type: "spki", format: "pem" }).toString(),
      BATON_JWKS_URL: "https://id.example/keys",
    };
    const names = ["BATON_JWT_SECRET", "BATON_JWT_PUBLIC_KEY", "BATON_JWKS_URL"] as const;
    for (const one of names) {
      await configOf({ [one]: all[one], BATON_HOST: "0.0.0.0" });
      for (const other of names.slice(names.indexOf(one) + 1)) {
        await assertFault({ [one]: all[one], [other]: all[other] }, one, new RegExp(`together with ${other};`));
      }
    }
    await assertFault(all, "BATON_JWT_SECRET", /together with BATON_JWT_PUBLIC_KEY and BATON_JWKS_URL;/);
  });

  test("CF9 no fault repeats a value, whatever variable it stands in", async () => {
    const canary = "canary\tPINEAPPLE";
    const wrong = Object.fromEntries([...variableNames, "BATON_UNKNOWN"].map((name) => [name, canary]));
    const faults = await faultsOf(wrong);
    const ofStores = variableNames.filter((name) => !name.startsWith("BATON_"));
    assert.ok(faults.length >= variableNames.length - ofStores.length);
    assert.doesNotMatch(faults.join("\n"), /PINEAPPLE/);
    for (const variable of ofStores) {
      const [fault = ""] = await faultsOf({ ...storeOf(variable), [variable]: canary });
      assert.match(fault, new RegExp(`^${variable}: `));
      assert.doesNotMatch(fault, /PINEAPPLE/);
    }
  });
});
